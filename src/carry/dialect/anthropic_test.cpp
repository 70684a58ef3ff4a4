// Chat completions on their way to endpoints of Anthropic's API, and their answers on the way back.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "carry/dialect/anthropic_answer.h"
#include "carry/dialect/anthropic_request.h"
#include "carry/dialect/caller_request.h"
#include "carry/dialect/messages_request.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;
using json::Padded;

std::string with_messages(const std::string& messages, const std::string& more = "") {
  return R"({"model":"m","messages":)" + messages + more + "}";
}
std::string with(const std::string& more) {
  return with_messages(R"([{"role":"user","content":"x"}])", more);
}

struct Written {
  Json body;
  std::string dropped, not_carried, parameter;
};

Written write(const std::string& chat, std::uint32_t cap = 0) {
  static AnthropicRequest request;
  const Padded padded(chat);
  request.translate(padded.view());
  return {Json::parse(request.body_for("up\"stream", 1024, {.output_cap = cap}).joined()),
          std::string(request.dropped()), std::string(request.not_carried()),
          std::string(request.not_carried_parameter())};
}

TEST(AnthropicRequest, CopiesTextsAsTheyAreWritten) {
  AnthropicRequest request;
  const Padded chat(
      std::string_view(R"({"messages":[{"content":"a\u00e9\ud83d\udca7\/","role":"user"}],"model":"m"})"));
  request.translate(chat.view());
  EXPECT_EQ(
      request.body_for("m", 7, {}).joined(),
      R"({"model":"m","max_tokens":7,"messages":[{"role":"user","content":[{"type":"text","text":"a\u00e9\ud83d\udca7\/"}]}]})");
}

TEST(AnthropicRequest, SetsALimitOfTokensThatTheApiDemands) {
  EXPECT_EQ(write(with("")).body["max_tokens"], 1024);
  EXPECT_EQ(write(with(R"(,"max_tokens":5)")).body["max_tokens"], 5);
  EXPECT_EQ(write(with(R"(,"max_tokens":5,"max_completion_tokens":6)")).body["max_tokens"], 6);
  EXPECT_EQ(write(with(R"(,"max_tokens":null)"), 9).body["max_tokens"], 9);
  EXPECT_EQ(write(with(R"(,"max_tokens":5)"), 9).body["max_tokens"], 5);
  EXPECT_EQ(write(with("")).body["model"], "up\"stream");
}

TEST(AnthropicRequest, JoinsTheResultsOfATurnsTools) {
  const Json body = write(with_messages(
                              R"([{"role":"user","content":"x"},{"role":"assistant","content":"\n\n","tool_calls":[
        {"id":"call.1","type":"function","function":{"name":"f","arguments":" {\"a\": [1, 2.50]} "}},
        {"id":"call_2","type":"function","function":{"name":"g","arguments":""}}]},
        {"role":"tool","tool_call_id":"call.1","content":"one"},
        {"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"two"}]},{"role":"user","content":"go"}])"))
                        .body["messages"];
  ASSERT_EQ(body.size(), 4U);
  EXPECT_EQ(
      body[1]["content"].dump(),
      R"([{"type":"tool_use","id":"call_1","name":"f","input":{"a":[1,2.5]}},{"type":"tool_use","id":"call_2","name":"g","input":{}}])");
  EXPECT_EQ(body[2]["role"], "user");
  EXPECT_EQ(body[2]["content"][0]["tool_use_id"], "call_1");
  EXPECT_EQ(body[2]["content"][1]["content"][0]["text"], "two");
}

TEST(AnthropicRequest, GivesEveryToolASchemaOfAnObject) {
  const Json tools = write(with(R"(,"tools":[{"type":"function","function":{"name":"a"}},
      {"type":"function","function":{"name":"b","parameters":{}}},
      {"type":"function","function":{"name":"c","parameters":{"properties":{"x":{}}}}},
      {"type":"function","function":{"name":"d","parameters":{"type":"object","x":1},"strict":true}}])"))
                         .body["tools"];
  for (const Json& tool : tools) EXPECT_EQ(tool["input_schema"]["type"], "object") << tool;
  EXPECT_EQ(tools[2]["input_schema"].dump(), R"({"type":"object","properties":{"x":{}}})");
  EXPECT_EQ(tools[3]["strict"], true);
}

TEST(AnthropicRequest, NamesWhatCannotBeSaid) {
  const auto named = [](const std::string& chat) { return write(chat).parameter; };
  for (const auto& [field, parameter] : std::vector<std::pair<std::string, std::string>>{
           {R"("logit_bias":{"1":2})", "logit_bias"},
           {R"("frequency_penalty":0.5)", "frequency_penalty"},
           {R"("n":2)", "n"},
           {R"("store":true)", "store"},
           {R"("x_future":1)", "x_future"},
           {R"("temperature":1.5)", "temperature"},
           {R"("stop":["a","\n"])", "stop"},
           {R"("functions":[])", "functions"},
           {R"("response_format":{"type":"json_object"})", "response_format"},
           {R"("tools":[{"type":"custom","custom":{"name":"f"}}])", "tools[0].custom"},
           {R"("tools":[],"tool_choice":{"type":"allowed_tools"})", "tool_choice"}}) {
    EXPECT_EQ(named(with("," + field)), parameter) << field;
  }
  const auto in_user = [&](const std::string& part) {
    return named(with_messages(R"([{"role":"user","content":[)" + part + "]}]"));
  };
  EXPECT_EQ(in_user(R"({"type":"input_audio","input_audio":{}})"), "messages[0].content[0].input_audio");
  EXPECT_EQ(in_user(R"({"type":"file","file":{"file_id":"f"}})"), "messages[0].content[0].file.file_id");
  EXPECT_EQ(in_user(R"({"type":"image_url","image_url":{"url":"http://a/b"}})"),
            "messages[0].content[0].image_url.url");
  EXPECT_EQ(in_user(R"({"type":"image_url","image_url":{"url":"data:image/bmp;base64,QQ=="}})"),
            "messages[0].content[0].image_url.url");
  EXPECT_EQ(in_user(R"({"type":"text","text":" "})"), "messages[0].content");
  EXPECT_EQ(named(with_messages(R"([{"role":"function","name":"f","content":"x"}])")), "messages[0].role");
  EXPECT_EQ(named(with_messages(R"([{"role":"system","content":"x"}])")), "messages");
  EXPECT_EQ(
      named(with_messages(R"([{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f",
      "arguments":"[1]"}}]}])")),
      "messages[0].tool_calls[0].function.arguments");
}

TEST(AnthropicRequest, SaysNothingOfWhatSaysNothing) {
  const Written written =
      write(with(R"(,"n":1,"store":false,"logprobs":false,"logit_bias":{},"frequency_penalty":0,"presence_penalty":0.0,
      "top_logprobs":null,"response_format":{"type":"text"},"seed":1,"metadata":{},"user":"u","safety_identifier":"s")"));
  EXPECT_EQ(written.not_carried, "");
  EXPECT_EQ(written.dropped, "seed, metadata");
  EXPECT_EQ(written.body["metadata"]["user_id"], "s");
}

// There and back again: what both dialects can say is said the same.
TEST(AnthropicRequest, ComesBackThroughMessages) {
  for (
      const std::string& chat :
      {with_messages(
           R"([{"role":"system","content":"Be brief."},{"role":"user","content":"a\u00e9 \"q\" \\"},
            {"role":"assistant","content":"Yes.","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": \"\\u00e9\"}"}}]},
            {"role":"tool","tool_call_id":"c1","content":"one"},{"role":"user","content":[{"type":"text","text":"And"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,QQ=="}}]}])",
           R"(,"max_tokens":5,"temperature":0.5,"top_p":0.25,"stop":["END"],"stream":true,"stream_options":{"include_usage":true},
            "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false)"),
       with(
           R"(,"max_tokens":7,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required")")}) {
    AnthropicRequest there;
    const Padded padded(chat);
    there.translate(padded.view());
    ASSERT_EQ(there.not_carried(), "");
    const Padded messages(there.body_for("m", 1, {}).joined());
    MessagesRequest back;
    ASSERT_TRUE(back.translate(messages.view()));
    EXPECT_EQ(back.not_carried(), "");
    EXPECT_EQ(nlohmann::json::parse(back.chat()), nlohmann::json::parse(chat));
  }
}

// ---- Answers ----

constexpr std::string_view kMessage =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"thinking","thinking":"hm","signature":"s"},
    {"type":"text","text":"Z\u00fcrich "},{"type":"future"},{"type":"text","text":"1"},{"type":"tool_use","id":"t","name":"f","input":{"a":"\""}}],
    "stop_reason":"tool_use","usage":{"input_tokens":3,"cache_creation_input_tokens":1,"cache_read_input_tokens":2,"output_tokens":4,
    "output_tokens_details":{"thinking_tokens":1}}})";

TEST(AnthropicAnswer, PassesAWholeMessageButForTheModel) {
  AnthropicAnswer answer;
  answer.begin({}, "shown", "0", 7, AnthropicAnswer::Form::kMessages);
  const Padded body(kMessage);
  const auto facts = answer.read_whole(body.view());
  ASSERT_TRUE(facts && facts->finish && facts->usage && !facts->error);
  std::string expected(kMessage);
  expected.replace(expected.find("\"up\""), 4, "\"shown\"");
  EXPECT_EQ(answer.whole().joined(), expected);
  EXPECT_EQ(answer.usage().input_tokens, 6U);
  EXPECT_EQ(answer.usage().cached_input_tokens, 2U);
  EXPECT_EQ(answer.usage().reasoning_tokens, 1U);
  EXPECT_EQ(answer.finish_reason(), "tool_calls");
}

TEST(AnthropicAnswer, WritesAWholeMessageAsAChatCompletion) {
  AnthropicAnswer answer;
  answer.begin({}, "shown", "0", 7, AnthropicAnswer::Form::kChat);
  const Padded body(kMessage);
  ASSERT_TRUE(answer.read_whole(body.view()));
  EXPECT_EQ(Json::parse(answer.whole().joined()),
            Json::parse(R"({"id":"chatcmpl-0","object":"chat.completion","created":7,
    "model":"shown","choices":[{"index":0,"message":{"role":"assistant","content":"Zürich 1","refusal":null,
    "reasoning_content":"hm","tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":\"\\\"\"}"}}]},
    "logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":6,"completion_tokens":4,"total_tokens":10,
    "prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}})"));
}

struct Read {
  std::vector<Json> chunks;
  std::vector<inference::FrameFacts> facts;
  bool done = false;
};

Read read(const std::string& events, bool wants_usage) {
  AnthropicAnswer answer;
  inference::Request request;
  request.wants_usage_frame = wants_usage;
  answer.begin(request, "shown", "0", 7, AnthropicAnswer::Form::kChat);
  const Padded padded(events);
  http::SseReader reader(1 << 20);
  reader.feed(padded.view());
  http::SseFrame frame;
  Read all;
  while (reader.next(frame).value_or(false)) {
    std::string out;
    const auto one = answer.read_frame(frame, out);
    EXPECT_TRUE(one);
    if (!one) break;
    all.facts.push_back(one->facts);
    for (std::size_t at = 0; at < out.size();) {
      const std::size_t end = out.find("\n\n", at);
      const std::string data = out.substr(at + 6, end - at - 6);
      if (data == "[DONE]") {
        all.done = true;
      } else {
        all.chunks.push_back(Json::parse(data));
      }
      at = end + 2;
    }
  }
  return all;
}

std::string event(const std::string& type, const std::string& more = "") {
  return "event: " + type + "\ndata: {\"type\":\"" + type + "\"" + more + "}\n\n";
}

TEST(AnthropicAnswer, WritesEventsAsChunks) {
  const std::string stream =
      event("message_start",
            R"(,"message":{"id":"msg_1","model":"up","content":[],"usage":{"input_tokens":3,"output_tokens":1}})") +
      event("content_block_start", R"(,"index":0,"content_block":{"type":"text","text":""})") + event("ping") +
      event("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":"a\u00e9"})") +
      event("content_block_stop", R"(,"index":0)") +
      event("content_block_start", R"(,"index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}})") +
      event("content_block_delta",
            R"(,"index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"\\u00"})") +
      event("content_block_delta", R"(,"index":1,"delta":{"type":"input_json_delta","partial_json":"e9\"}"})") +
      event("content_block_stop", R"(,"index":1)") +
      event("content_block_start", R"(,"index":2,"content_block":{"type":"tool_use","id":"u","name":"g","input":{}})") +
      event("content_block_stop", R"(,"index":2)") + event("future_event", R"(,"x":1)") +
      event("message_delta",
            R"(,"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9})") +
      event("message_stop");
  const Read plain = read(stream, false);
  EXPECT_TRUE(plain.done);
  std::string text, arguments[2];
  for (const Json& chunk : plain.chunks) {
    ASSERT_EQ(chunk["choices"].size(), 1U);
    const Json& delta = chunk["choices"][0]["delta"];
    if (delta.contains("content")) text += delta["content"].get<std::string>();
    if (delta.contains("tool_calls")) {
      const Json& call = delta["tool_calls"][0];
      arguments[call["index"].get<std::size_t>()] += call["function"]["arguments"].get<std::string>();
    }
  }
  EXPECT_EQ(text, "aé");
  EXPECT_EQ(arguments[0], R"({"a":"\u00e9"})");
  EXPECT_EQ(arguments[1], "{}");
  EXPECT_EQ(plain.chunks.back()["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_TRUE(plain.facts.back().terminator);
  EXPECT_TRUE(plain.facts[plain.facts.size() - 2].finish && plain.facts[plain.facts.size() - 2].usage);

  const Read counted = read(stream, true);
  EXPECT_EQ(counted.chunks.back()["choices"].size(), 0U);
  EXPECT_EQ(counted.chunks.back()["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(counted.chunks.back()["usage"]["completion_tokens"], 9);
  EXPECT_TRUE(counted.chunks.front()["usage"].is_null());
}

// ---- Who can be told what ----

TEST(CallerRequest, TellsWhichKindsOfEndpointCanBeTold) {
  using fleet::EndpointKind;
  CallerRequest caller;
  const auto described = [&](inference::Surface surface, const std::string& body, fleet::EndpointKinds kinds) {
    static Padded* kept = nullptr;
    delete kept;
    kept = new Padded(body);
    EXPECT_TRUE(caller.parse(surface, kept->view()));
    placement::Question question;
    caller.describe(question, kinds);
    return question;
  };
  const fleet::EndpointKinds chats = {EndpointKind::kEngine, EndpointKind::kOpenAi};
  const auto chat = inference::Surface::kOpenAiChat;
  EXPECT_EQ(described(chat, with(""), fleet::kAnyEndpointKind).carried_by, fleet::kAnyEndpointKind);
  EXPECT_EQ(described(chat, with(""), chats).carried_by, chats) << "not asked for, so not written";
  EXPECT_EQ(described(chat, with(R"(,"logit_bias":{"1":1})"), fleet::kAnyEndpointKind).carried_by, chats);
  EXPECT_EQ(caller.not_carried_parameter(), "logit_bias");

  const auto messages = inference::Surface::kAnthropicMessages;
  const auto message = [](const std::string& content, const std::string& more = "") {
    return R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":[)" + content + "]}]" + more + "}";
  };
  EXPECT_EQ(described(messages, message(R"({"type":"text","text":"x"})"), {}).carried_by, fleet::kAnyEndpointKind);
  const fleet::EndpointKinds itself = {EndpointKind::kAnthropic};
  for (const std::string& body :
       {message(R"({"type":"document","source":{"type":"file","file_id":"f"}})"),
        message(R"({"type":"text","text":"x"})", R"(,"container":"c")"),
        message(R"({"type":"web_search_tool_result","content":[{"encrypted_content":"e"}]})"),
        std::string(
            R"({"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t",
           "signature":"s"}]}]})")}) {
    const auto question = described(messages, body, {});
    EXPECT_EQ(question.carried_by, itself) << body;
    EXPECT_TRUE(question.bound_elsewhere) << body;
  }
  const auto quoted = described(messages, message(R"({"type":"text","text":"say \"encrypted_content\""})"), {});
  EXPECT_FALSE(quoted.bound_elsewhere);
  const auto tool = described(
      messages, message(R"({"type":"text","text":"x"})", R"(,"tools":[{"type":"web_search_20250305","name":"w"}])"),
      {});
  EXPECT_EQ(tool.carried_by, itself);
  EXPECT_FALSE(tool.bound_elsewhere);
  EXPECT_TRUE(tool.needs.has(inference::Capability::kHostedTools));
}

}  // namespace
}  // namespace thalweg::dialect
