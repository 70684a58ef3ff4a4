// Requests and answers on their way between the Responses API and chat completions.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/dialect/responses_answer.h"
#include "carry/dialect/responses_request.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;
using json::Padded;

// What is wrong, or what a chat completion cannot say, or what is dropped.
struct Told {
  Json chat;
  std::string fault, not_carried, dropped;
  bool bound = false;
};

Told translate(const std::string& body) {
  static ResponsesRequest request;
  const Padded padded(body);
  Told told;
  if (const auto done = request.translate(padded.view()); !done) {
    told.fault = std::string(request.fault_parameter()) + " | " + done.error().message;
    return told;
  }
  told.chat = Json::parse(request.chat());
  told.not_carried = request.not_carried_parameter();
  told.dropped = request.dropped();
  told.bound = request.bound();
  // What cannot be sent is still good for its features.
  OpenAiRequest chat;
  const auto judged = chat.parse(inference::Surface::kOpenAiChat, request.chat());
  EXPECT_TRUE(judged) << judged.error().message << "\n" << request.chat();
  return told;
}

std::string with(const std::string& members) {
  return R"({"model":"m","input":"x",)" + members + "}";
}
std::string with_input(const std::string& items) {
  return R"({"model":"m","input":)" + items + "}";
}
Json messages_of(const std::string& items) {
  const Told told = translate(with_input(items));
  EXPECT_EQ(told.fault + told.not_carried + told.dropped, "");
  return told.chat["messages"];
}

TEST(ResponsesRequest, CopiesTextsAsTheyAreWritten) {
  ResponsesRequest request;
  const Padded body(std::string_view(
      R"({"instructions":"be\u0020\/kind","input":"a\u00e9\ud83d\udca7","model":"m\u0041","stream":true,"temperature":1e0})"));
  ASSERT_TRUE(request.translate(body.view()));
  EXPECT_EQ(request.chat(), R"({"model":"m\u0041","messages":[{"role":"system","content":"be\u0020\/kind"},)"
                            R"({"role":"user","content":"a\u00e9\ud83d\udca7"}],"temperature":1e0,"stream":true,)"
                            R"("stream_options":{"include_usage":true}})");
}

TEST(ResponsesRequest, WritesEachFieldAsAChatHasIt) {
  // What it says, and what the chat completion then has beside `model` and `messages`.
  static const std::vector<std::pair<std::string, std::string>> kFields = {
      {R"("temperature":0.5,"top_p":1,"user":"u","safety_identifier":"s","prompt_cache_key":"k")",
       R"({"temperature":0.5,"top_p":1,"user":"u","safety_identifier":"s","prompt_cache_key":"k"})"},
      {R"("prompt_cache_retention":"24h","service_tier":"flex")",
       R"({"prompt_cache_retention":"24h","service_tier":"flex"})"},
      {R"("parallel_tool_calls":false,"stream":false)", R"({"parallel_tool_calls":false,"stream":false})"},
      {R"("max_output_tokens":16)", R"({"max_tokens":16})"},
      {R"("tools":[])", "{}"},
      {R"("tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true,"defer_loading":false}])",
       R"({"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}]})"},
      {R"("tools":[{"type":"function","name":"f","parameters":null,"strict":null}])",
       R"({"tools":[{"type":"function","function":{"name":"f"}}]})"},
      {R"("tools":[{"type":"custom","name":"c","description":"d","format":{"type":"text"}}])",
       R"({"tools":[{"type":"custom","custom":{"name":"c","description":"d","format":{"type":"text"}}}]})"},
      {R"("tools":[{"type":"custom","name":"c","format":{"type":"grammar","syntax":"lark","definition":"x"}}])",
       R"({"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}}}]})"},
      {R"("tool_choice":"required")", R"({"tool_choice":"required"})"},
      {R"("tool_choice":{"type":"function","name":"f"})",
       R"({"tool_choice":{"type":"function","function":{"name":"f"}}})"},
      {R"("tool_choice":{"type":"custom","name":"c"})", R"({"tool_choice":{"type":"custom","custom":{"name":"c"}}})"},
      {R"("text":{"format":{"type":"text"},"verbosity":"low"})", R"({"verbosity":"low"})"},
      {R"("text":{"format":{"type":"json_object"}})", R"({"response_format":{"type":"json_object"}})"},
      {R"("text":{"format":{"type":"json_schema","name":"n","description":"d","schema":{"a":[1]},"strict":true}})",
       R"({"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"a":[1]},"strict":true}}})"},
      {R"("reasoning":{"effort":"low","context":"auto","mode":"standard"})", R"({"reasoning_effort":"low"})"},
      {R"("top_logprobs":3)", R"({"logprobs":true,"top_logprobs":3})"},
      {R"("top_logprobs":0)", "{}"},
      {R"("include":["message.output_text.logprobs"])", R"({"logprobs":true})"},
      {R"("metadata":{"a":"b"},"store":false,"background":false,"truncation":"disabled","max_tool_calls":2)", "{}"},
      {R"("previous_response_id":null,"conversation":null,"prompt":null,"reasoning":null,"text":null,"tools":null)",
       "{}"},
      {R"("stream_options":{"include_obfuscation":false})", "{}"},
  };
  for (const auto& [field, wanted] : kFields) {
    Told told = translate(with(field));
    EXPECT_EQ(told.fault + told.not_carried + told.dropped, "") << field;
    told.chat.erase("model");
    told.chat.erase("messages");
    EXPECT_EQ(told.chat, Json::parse(wanted)) << field;
  }
}

TEST(ResponsesRequest, NamesHints) {
  static const std::vector<std::pair<std::string, std::string>> kHints = {
      {R"("reasoning":{"summary":"auto","generate_summary":"auto"})", "reasoning.summary, reasoning.generate_summary"},
      {R"("include":["reasoning.encrypted_content"])", "reasoning.encrypted_content"},
      {R"("store":true,"prompt_cache_options":{"mode":"implicit"})", "store, prompt_cache_options"},
      {R"("client_metadata":{"turn_id":"1"})", "client_metadata"},
      {R"("stream_options":{"include_obfuscation":true})", "stream_options.include_obfuscation"},
  };
  for (const auto& [field, wanted] : kHints) EXPECT_EQ(translate(with(field)).dropped, wanted) << field;
  const Told told = translate(with_input(
      R"([{"type":"reasoning","id":"rs","summary":[],"encrypted_content":null},
      {"role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"a","annotations":[{}],"logprobs":[]}]},
      {"type":"function_call","call_id":"c","name":"f","arguments":"{}","caller":{"type":"direct"}},
      {"role":"user","content":[{"type":"input_image","image_url":"https://x","detail":"original","prompt_cache_breakpoint":{}},
      {"type":"input_file","file_data":"data:y","detail":"low"}]}])"));
  EXPECT_EQ(told.dropped, "reasoning, phase, annotations, caller, prompt_cache_breakpoint, detail");
  EXPECT_FALSE(told.bound);
}

TEST(ResponsesRequest, NamesWhatAChatCompletionCannotSay) {
  struct Case {
    std::string field, parameter;
    bool bound;
  };
  static const std::vector<Case> kCases = {
      {R"("previous_response_id":"resp_1")", "previous_response_id", true},
      {R"("conversation":"c")", "conversation", true},
      {R"("prompt":{"id":"p"})", "prompt", true},
      {R"("background":true)", "background", false},
      {R"("truncation":"auto")", "truncation", false},
      {R"("moderation":{})", "moderation", false},
      {R"("include":["message.output_text.logprobs","file_search_call.results"])", "include[1]", false},
      {R"("tools":[{"type":"web_search","filters":{}}])", "tools[0].type", false},
      {R"("tools":[{"type":"mcp","server_label":"l"}])", "tools[0].type", false},
      {R"("tools":[{"type":"function","name":"f","defer_loading":true}])", "tools[0].defer_loading", false},
      {R"("tools":[{"type":"function","name":"f","output_schema":{}}])", "tools[0].output_schema", false},
      {R"("tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]})", "tool_choice", false},
      {R"("tool_choice":"any")", "tool_choice", false},
      {R"("text":{"format":{"type":"grammar"}})", "text.format.type", false},
      {R"("reasoning":{"mode":"pro"})", "reasoning.mode", false},
      {R"("reasoning":{"context":"all_turns"})", "reasoning.context", false},
  };
  for (const auto& [field, parameter, bound] : kCases) {
    const Told told = translate(with(field));
    EXPECT_EQ(told.fault + told.not_carried, parameter) << field;
    EXPECT_EQ(told.bound, bound) << field;
  }
  static const std::vector<Case> kItems = {
      {R"({"type":"reasoning","summary":[],"encrypted_content":"gA"})", "input[0].encrypted_content", true},
      {R"({"type":"item_reference","id":"msg_1"})", "input[0]", true},
      {R"({"id":"msg_1"})", "input[0]", true},
      {R"({"type":"compaction","encrypted_content":"gA"})", "input[0]", true},
      {R"({"type":"web_search_call","id":"ws","status":"completed"})", "input[0]", false},
      {R"({"role":"critic","content":"x"})", "input[0].role", false},
      {R"({"role":"user","content":"x","name":"n"})", "input[0].name", false},
      {R"({"role":"user","content":[{"type":"input_image","file_id":"f"}]})", "input[0].content[0].file_id", true},
      {R"({"role":"user","content":[{"type":"input_file","file_id":"f"}]})", "input[0].content[0].file_id", true},
      {R"({"role":"user","content":[{"type":"input_file","file_url":"u"}]})", "input[0].content[0].file_url", false},
      {R"({"role":"user","content":[{"type":"input_video"}]})", "input[0].content[0]", false},
      {R"({"role":"system","content":[{"type":"input_image","image_url":"u"}]})", "input[0].content[0]", false},
      {R"({"role":"assistant","content":[{"type":"input_image","image_url":"u"}]})", "input[0].content[0]", false},
      {R"({"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"u"}]})",
       "input[0].output[0]", false},
      {R"({"type":"function_call","call_id":"c","name":"f","arguments":"","x":"n"})", "input[0].x", false},
  };
  for (const auto& [item, parameter, bound] : kItems) {
    const Told told = translate(with_input("[" + item + "]"));
    EXPECT_EQ(told.fault + told.not_carried, parameter) << item;
    EXPECT_EQ(told.bound, bound) << item;
  }
}

TEST(ResponsesRequest, SaysWhatToDoWithoutStoredResponses) {
  ResponsesRequest request;
  const Padded body(std::string_view(R"({"model":"m","input":"x","previous_response_id":"resp_1"})"));
  ASSERT_TRUE(request.translate(body.view()));
  EXPECT_EQ(request.not_carried(),
            "previous_response_id: responses are not stored here; send the conversation in input");
}

TEST(ResponsesRequest, NeedsNoInputWhereItsPlaceIsTaken) {
  EXPECT_EQ(translate(R"({"model":"m","prompt":{"id":"p"}})").not_carried, "prompt");
  EXPECT_EQ(translate(R"({"model":"m","previous_response_id":"r"})").not_carried, "previous_response_id");
}

TEST(ResponsesRequest, TellsWhatAHostedToolNeeds) {
  const Told told = translate(with(R"("tools":[{"type":"web_search"},{"type":"function","name":"f"}])"));
  EXPECT_EQ(told.chat["tools"], Json::parse(R"([{"type":"web_search"},{"type":"function","function":{"name":"f"}}])"));
}

TEST(ResponsesRequest, NamesWhatIsWrong) {
  static const std::vector<std::pair<std::string, std::string>> kFaults = {
      {R"({"model":"m"})", "input | input: Field required"},
      {R"({"model":"m","input":5})", "input | input: expected a string or an array of items, but got a number"},
      {R"({"model":"m","input":[]})", "input | input: expected at least one item that the model can read"},
      {R"({"model":"m","input":[{"type":"reasoning","summary":[]}]})",
       "input | input: expected at least one item that the model can read"},
      {with_input("[1]"), "input[0] | input[0]: expected an object, but got a number"},
      {with_input("[{}]"), "input[0].type | input[0].type: Field required"},
      {with_input(R"([{"role":"user","content":[]}])"),
       "input[0].content | input[0].content: expected a string or an array of at least one part"},
      {with_input(R"([{"role":"user","content":[{"type":"input_text"}]}])"),
       "input[0].content[0].text | input[0].content[0].text: Field required"},
      {with_input(R"([{"type":"function_call","name":"f","arguments":"{}"}])"),
       "input[0].call_id | input[0].call_id: Field required"},
      {with_input(R"([{"type":"function_call","call_id":"c","name":"f","arguments":{}}])"),
       "input[0].arguments | input[0].arguments: expected a string, but got an object"},
      {with_input(R"([{"type":"function_call_output","call_id":"c"}])"),
       "input[0].output | input[0].output: Field required"},
      {with(R"("max_output_tokens":0)"), "max_output_tokens | max_output_tokens: expected an integer of at least 1"},
      {with(R"("instructions":[])"), "instructions | instructions: expected a string, but got an array"},
      {with(R"("metadata":[])"), "metadata | metadata: expected an object, but got an array"},
      {with(R"("tools":[{"type":"function"}])"), "tools[0].name | tools[0].name: Field required"},
      {with(R"("tools":[{}])"), "tools[0].type | tools[0].type: Field required"},
      {with(R"("text":{"format":{"type":"json_schema","name":"n"}})"),
       "text.format.schema | text.format.schema: Field required"},
      {with(R"("parallel_tool_calls":1)"), "parallel_tool_calls | parallel_tool_calls: expected a boolean"},
      {with(R"("tool_choice":{"type":"function"})"), "tool_choice.name | tool_choice.name: Field required"},
  };
  for (const auto& [body, wanted] : kFaults) EXPECT_EQ(translate(body).fault, wanted) << body;
  EXPECT_NE(translate(R"({"model":"m","input":"a","input":"b"})").fault.find("is not valid JSON"), std::string::npos);
  EXPECT_NE(translate("[1]").fault.find("must be a JSON object"), std::string::npos);
}

TEST(ResponsesRequest, WritesMessagesOfEachRole) {
  EXPECT_EQ(messages_of(R"([{"role":"developer","content":"d"},{"type":"message","role":"system","id":"i",
      "status":"completed","content":[{"type":"input_text","text":"one"}]},
      {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:x","detail":"low"},
      {"type":"input_file","file_data":"data:y","filename":"f.pdf"},
      {"type":"input_audio","input_audio":{"data":"QQ==","format":"wav"}}]}])"),
            Json::parse(R"([{"role":"developer","content":"d"},{"role":"system","content":"one"},
      {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:x","detail":"low"}},
      {"type":"file","file":{"file_data":"data:y","filename":"f.pdf"}},
      {"type":"input_audio","input_audio":{"data":"QQ==","format":"wav"}}]}])"));
}

TEST(ResponsesRequest, JoinsCallsWithTheAssistantsMessage) {
  EXPECT_EQ(messages_of(R"([{"role":"user","content":"q"},
      {"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"\u0062"}]},
      {"type":"function_call","id":"fc","call_id":"c1","name":"f","arguments":"{\"x\":\"\\u00e9\"}","status":"completed"},
      {"type":"custom_tool_call","call_id":"c2","name":"g","input":"raw"},
      {"type":"function_call_output","call_id":"c1","output":"one"},
      {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"t"},{"type":"input_text","text":"u"}]},
      {"type":"function_call","call_id":"c3","name":"f","arguments":"{}"},
      {"role":"assistant","content":"after"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}])"),
            Json::parse(R"([{"role":"user","content":"q"},
      {"role":"assistant","content":"ab","tool_calls":[
        {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":\"\\u00e9\"}"}},
        {"id":"c2","type":"custom","custom":{"name":"g","input":"raw"}}]},
      {"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":"t\n\nu"},
      {"role":"assistant","content":"after","tool_calls":[{"id":"c3","type":"function","function":{"name":"f","arguments":"{}"}}]},
      {"role":"assistant","content":null,"refusal":"no"}])"));
}

TEST(ResponsesRequest, DoesNotPartCallsAtReasoning) {
  const Told told = translate(with_input(
      R"([{"type":"reasoning","summary":[]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},
      {"type":"reasoning","summary":[],"encrypted_content":""},
      {"type":"function_call","call_id":"b","name":"f","arguments":"{}"}])"));
  ASSERT_EQ(told.chat["messages"].size(), 1U);
  EXPECT_EQ(told.chat["messages"][0]["tool_calls"].size(), 2U);
  EXPECT_EQ(told.dropped, "reasoning");
}

TEST(ResponsesRequest, EchoesWhatAResponseSaysBack) {
  ResponsesRequest request;
  const auto echo = [&](const std::string& body) {
    const Padded padded(body);
    EXPECT_TRUE(request.translate(padded.view()));
    EXPECT_EQ(request.echo().find_first_of("\r\n"), std::string_view::npos);
    return Json::parse("{" + std::string(request.echo()) + "}");
  };
  EXPECT_EQ(echo(with(R"("seed":null)")),
            Json::parse(R"({"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"metadata":{},
      "parallel_tool_calls":true,"reasoning":null,"temperature":null,"text":{"format":{"type":"text"}},
      "tool_choice":"auto","tools":[],"top_p":null,"background":false,"previous_response_id":null,"store":false,
      "truncation":"disabled"})"));
  const Json said = echo(with("\"metadata\":{\n \"a\":\r\n\"b\\n\"},\"user\":\"u\",\"top_logprobs\":2,\"store\":true"));
  EXPECT_EQ(said["metadata"], Json::parse(R"({"a":"b\n"})"));
  EXPECT_EQ(said["user"], "u");
  EXPECT_EQ(said["top_logprobs"], 2);
  EXPECT_EQ(said["store"], false);
}

// ---- Answers ----

constexpr inference::Usage kUsage = {
    .reported = true, .input_tokens = 10, .output_tokens = 4, .cached_input_tokens = 3, .reasoning_tokens = 2};
constexpr std::string_view kEcho = R"("tools":[],"tool_choice":"auto","parallel_tool_calls":true)";

std::vector<Json> read_events(const std::string& text) {
  std::vector<Json> events;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\n\n", at);
    const std::string frame = text.substr(at, end - at);
    const std::size_t data = frame.find("\ndata: ");
    Json event = Json::parse(frame.substr(data + 7));
    EXPECT_EQ("event: " + event["type"].get<std::string>(), frame.substr(0, data));
    EXPECT_EQ(event["sequence_number"], events.size());
    events.push_back(std::move(event));
    at = end + 2;
  }
  return events;
}

struct Streamed {
  std::vector<Json> events;
  std::string fault;
  const Json& last() const { return events.back()["response"]; }
  std::vector<std::string> kinds() const {
    std::vector<std::string> kinds;
    for (const Json& event : events) kinds.push_back(event["type"]);
    return kinds;
  }
};

Streamed stream(const std::vector<std::string>& chunks, const inference::Usage& usage = kUsage) {
  ResponsesAnswer answer;
  answer.begin("0123", "sh\"own", 1700000000, kEcho, nullptr);
  std::string out;
  Streamed read;
  for (const std::string& chunk : chunks) {
    const Padded padded(chunk);
    const std::size_t before = out.size();
    if (const auto added = answer.add_chunk(padded.view(), out); !added) {
      read.fault = added.error().message;
      return read;
    }
    EXPECT_EQ(answer.held() == 0, out.find(".delta") == std::string::npos) << out.substr(before);
  }
  answer.finish(usage, out);
  read.events = read_events(out);
  return read;
}

Result<Json> whole(const std::string& chat, const inference::Usage& usage = kUsage) {
  ResponsesAnswer answer;
  answer.begin("0123", "sh\"own", 1700000000, kEcho, nullptr);
  std::string out;
  const Padded padded(chat);
  if (auto written = answer.write_whole(padded.view(), usage, out); !written)
    return std::unexpected(std::move(written.error()));
  return Json::parse(out);
}

std::string delta(const std::string& members, const std::string& finish = "null") {
  return R"({"choices":[{"index":0,"delta":{)" + members + R"(},"finish_reason":)" + finish + "}]}";
}
std::string message(const std::string& members, const std::string& finish = "stop") {
  return R"({"choices":[{"index":0,"finish_reason":")" + finish + R"(","message":{)" + members + "}}]}";
}

// Thoughts, a text whose escapes are cut apart, and two calls, streamed and whole.
const std::vector<std::string> kLongStream = {
    delta(R"("role":"assistant","content":"")"),
    delta(R"("reasoning_content":"h\"")"),
    delta(R"("reasoning_content":"m")"),
    delta(R"("content":"a\\")"),
    delta(R"("content":"\ud83d\udca7")"),
    delta(R"("tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}])"),
    delta(R"("tool_calls":[{"index":0,"function":{"arguments":"{\"x\":\"\\u00"}}])"),
    delta(R"("tool_calls":[{"index":0,"function":{"arguments":"e9\"}"}}])"),
    delta(R"("tool_calls":[{"index":1,"id":"c2","type":"custom","custom":{"name":"g","input":"raw"}}])"),
    delta("", R"("tool_calls")")};
const std::string kLongWhole = message(
    R"("tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":\"\\u00e9\"}"}},
    {"id":"c2","type":"custom","custom":{"name":"g","input":"raw"}}],"content":"a\\\ud83d\udca7","reasoning":"h\"m")",
    "tool_calls");

TEST(ResponsesAnswer, OpensAndClosesItsItemsOneAfterTheOther) {
  const Streamed read = stream(kLongStream);
  EXPECT_EQ(read.kinds(), (std::vector<std::string>{"response.created",
                                                    "response.in_progress",
                                                    "response.output_item.added",
                                                    "response.content_part.added",
                                                    "response.reasoning_text.delta",
                                                    "response.reasoning_text.delta",
                                                    "response.reasoning_text.done",
                                                    "response.content_part.done",
                                                    "response.output_item.done",
                                                    "response.output_item.added",
                                                    "response.content_part.added",
                                                    "response.output_text.delta",
                                                    "response.output_text.delta",
                                                    "response.output_text.done",
                                                    "response.content_part.done",
                                                    "response.output_item.done",
                                                    "response.output_item.added",
                                                    "response.function_call_arguments.delta",
                                                    "response.function_call_arguments.delta",
                                                    "response.function_call_arguments.done",
                                                    "response.output_item.done",
                                                    "response.output_item.added",
                                                    "response.custom_tool_call_input.delta",
                                                    "response.custom_tool_call_input.done",
                                                    "response.output_item.done",
                                                    "response.completed"}));
  EXPECT_EQ(read.events[0]["response"]["status"], "in_progress");
  EXPECT_TRUE(read.events[0]["response"]["usage"].is_null());
  EXPECT_EQ(read.events[2]["item"],
            Json::parse(R"({"id":"rs_0123_0","type":"reasoning","status":"in_progress","summary":[],"content":[]})"));
  EXPECT_EQ(read.events[13]["text"], "a\\\U0001F4A7");
  EXPECT_EQ(read.events[19]["arguments"], R"({"x":"\u00e9"})");
  for (const Json& event : read.events) {
    if (event.contains("item_id")) {
      EXPECT_TRUE(event["item_id"].get<std::string>().ends_with("_" + event["output_index"].dump()));
    }
  }
}

TEST(ResponsesAnswer, SaysTheSameWholeAndStreamed) {
  const auto one = whole(kLongWhole);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(*one, stream(kLongStream).last());
  EXPECT_EQ((*one)["output"], Json::parse(R"([
      {"id":"rs_0123_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"h\"m"}]},
      {"id":"msg_0123_1","type":"message","status":"completed","role":"assistant",
       "content":[{"type":"output_text","text":"a\\\ud83d\udca7","annotations":[],"logprobs":[]}]},
      {"id":"fc_0123_2","type":"function_call","status":"completed","call_id":"c1","name":"f","arguments":"{\"x\":\"\\u00e9\"}"},
      {"id":"ctc_0123_3","type":"custom_tool_call","status":"completed","call_id":"c2","name":"g","input":"raw"}])"));
  Json rest = *one;
  rest.erase("output");
  EXPECT_EQ(rest, Json::parse(R"({"id":"resp_0123","object":"response","created_at":1700000000,"status":"completed",
      "error":null,"incomplete_details":null,"model":"sh\"own","tools":[],"tool_choice":"auto","parallel_tool_calls":true,
      "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":3,"cache_write_tokens":0},"output_tokens":4,
      "output_tokens_details":{"reasoning_tokens":2},"total_tokens":14}})"));
}

TEST(ResponsesAnswer, JoinsAPairOfSurrogatesThatTheStreamCut) {
  ResponsesAnswer answer;
  answer.begin("0123", "m", 1, kEcho, nullptr);
  std::string out;
  for (const std::string& chunk : {delta(R"("content":"\ud83d")"), delta(R"("content":"\udca7")")}) {
    const Padded padded(chunk);
    ASSERT_TRUE(answer.add_chunk(padded.view(), out));
  }
  answer.finish(kUsage, out);
  const Json last = Json::parse(out.substr(out.rfind("\ndata: ") + 7));
  EXPECT_EQ(last["response"]["output"][0]["content"][0]["text"], "\U0001F4A7");
}

TEST(ResponsesAnswer, TellsNoUsageThatWasNotReported) {
  EXPECT_TRUE(whole(message(R"("content":"x")"), {}).value()["usage"].is_null());
  EXPECT_TRUE(stream({delta(R"("content":"x")")}, {}).last()["usage"].is_null());
}

TEST(ResponsesAnswer, PutsARefusalBesideTheText) {
  const Streamed read = stream({delta(R"("content":"a")"), delta(R"("refusal":"n")"), delta(R"("refusal":"o")")});
  EXPECT_EQ(read.last()["output"], whole(message(R"("content":"a","refusal":"no")")).value()["output"]);
  EXPECT_EQ(read.last()["output"][0]["content"][1], Json::parse(R"({"type":"refusal","refusal":"no"})"));
  EXPECT_EQ(read.kinds(), (std::vector<std::string>{
                              "response.created", "response.in_progress", "response.output_item.added",
                              "response.content_part.added", "response.output_text.delta", "response.output_text.done",
                              "response.content_part.done", "response.content_part.added", "response.refusal.delta",
                              "response.refusal.delta", "response.refusal.done", "response.content_part.done",
                              "response.output_item.done", "response.completed"}));
  EXPECT_EQ(read.events[8]["content_index"], 1);
}

TEST(ResponsesAnswer, NamesWhyItIsIncomplete) {
  for (const auto& [finish, reason] :
       {std::pair{"length", "max_output_tokens"}, std::pair{"content_filter", "content_filter"}}) {
    const Streamed read =
        stream({delta(R"("reasoning":"r")"), delta(R"("content":"x")"), delta("", '"' + std::string(finish) + '"')});
    EXPECT_EQ(read.kinds().back(), "response.incomplete");
    EXPECT_EQ(read.last()["status"], "incomplete");
    EXPECT_EQ(read.last()["incomplete_details"]["reason"], reason);
    EXPECT_EQ(read.last()["output"][0]["status"], "completed");
    EXPECT_EQ(read.last()["output"][1]["status"], "incomplete");
    EXPECT_EQ(whole(message(R"("reasoning":"r","content":"x")", finish)).value(), read.last());
  }
  for (const char* finish : {"stop", "tool_calls", "function_call", "something new"}) {
    EXPECT_EQ(whole(message(R"("content":"x")", finish)).value()["status"], "completed");
  }
}

TEST(ResponsesAnswer, CarriesTheLogprobsOfItsText) {
  const auto chunk = [](const std::string& text, const std::string& logprobs) {
    return "{\"choices\":[{\"logprobs\":{\"content\":[" + logprobs + "]},\"delta\":{\"content\":\"" + text + "\"}}]}";
  };
  const std::string one = R"({"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]})";
  const std::string two = "{\"token\":\"b\",\n\"logprob\":-2,\"bytes\":null,\"top_logprobs\":[]}";
  const Streamed read = stream({chunk("a", one), chunk("b", " \n" + two), chunk("c", "")});
  const Json all = Json::parse("[" + one + "," + two + "]");
  EXPECT_EQ(read.events[4]["logprobs"], Json::parse("[" + one + "]"));
  EXPECT_EQ(read.events[5]["logprobs"], Json::parse("[" + two + "]"));
  EXPECT_EQ(read.events[6]["logprobs"], Json::array());
  EXPECT_EQ(read.events[7]["logprobs"], all);
  EXPECT_EQ(read.last()["output"][0]["content"][0]["logprobs"], all);
}

TEST(ResponsesAnswer, MakesUpTheIdOfACallThatHasNone) {
  const std::string call = R"("tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}])";
  const Streamed read = stream({delta(R"("content":"x")"), delta(call)});
  EXPECT_EQ(read.last()["output"][1]["call_id"], "call_0123_1");
  EXPECT_EQ(whole(message(R"("content":"x",)" + call)).value()["output"], read.last()["output"]);
}

TEST(ResponsesAnswer, TakesCallsOfOneIndexApartByTheirIds) {
  const Streamed read =
      stream({delta(R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}])"),
              delta(R"("tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}])")});
  EXPECT_EQ(read.last()["output"].size(), 2U);
}

TEST(ResponsesAnswer, RefusesWhatCannotBeACall) {
  const std::string first = delta(R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}])");
  const std::string second = delta(R"("tool_calls":[{"index":1,"id":"b","function":{"name":"f","arguments":"{}"}}])");
  const std::string late = delta(R"("tool_calls":[{"index":0,"function":{"arguments":"}"}}])");
  EXPECT_NE(stream({first, second, late}).fault.find("has ended"), std::string::npos);
  EXPECT_NE(stream({first, delta(R"("content":"x")"), late}).fault.find("has ended"), std::string::npos);
  EXPECT_NE(stream({delta(R"("tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}])")})
                .fault.find("without a name"),
            std::string::npos);
  const auto object = whole(message(R"("tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}}])"));
  ASSERT_FALSE(object);
  EXPECT_EQ(object.error().code, ErrorCode::kUpstreamFailed);
}

TEST(ResponsesAnswer, SaysNothingWhereTheEndpointSaidNothing) {
  EXPECT_EQ(stream({delta("", "\"stop\"")}).kinds(),
            (std::vector<std::string>{"response.created", "response.in_progress", "response.completed"}));
  EXPECT_EQ(whole(message(R"("content":null)")).value()["output"], Json::array());
}

TEST(ResponsesAnswer, TellsAnErrorInsideItsStream) {
  ResponsesAnswer answer;
  answer.begin("0123", "m", 1, kEcho, nullptr);
  std::string out;
  const std::string chunk = delta(R"("content":"x")");
  const Padded padded(chunk);
  ASSERT_TRUE(answer.add_chunk(padded.view(), out));
  answer.write_error({ErrorCode::kRateLimited, "slow \"down\""}, out);
  EXPECT_EQ(read_events(out).back(),
            Json::parse(R"({"type":"error","sequence_number":5,"code":"rate_limit_exceeded","message":"slow \"down\"",
      "param":null,"error":{"message":"slow \"down\"","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})"));
}

}  // namespace
}  // namespace thalweg::dialect
