// Requests of Ollama's API on their way to chat completions, completions and embeddings.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "carry/dialect/caller_request.h"
#include "carry/dialect/openai.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;
using fleet::EndpointKind;
using inference::Surface;
using json::Padded;

// What is wrong, or what cannot be said, or what is dropped towards an OpenAI-compatible server.
struct Told {
  Json written;
  std::string fault, not_carried, dropped;
  Surface written_for = Surface::kOpenAiChat;
};

Told translate(const std::string& body, Surface surface = Surface::kOllamaChat) {
  static OllamaRequest request;
  const Padded padded(body);
  Told told;
  if (const auto done = request.translate(padded.view(), surface); !done) {
    told.fault = std::string(request.fault_parameter()) + " | " + done.error().message;
    return told;
  }
  told.written = Json::parse(request.written());
  told.not_carried = request.not_carried_parameter();
  told.dropped = request.dropped(EndpointKind::kOpenAi);
  told.written_for = request.written_for();
  // What cannot be sent is still good for its features.
  OpenAiRequest read;
  const auto judged = read.parse(told.written_for, request.written());
  EXPECT_TRUE(judged) << judged.error().message << "\n" << request.written();
  return told;
}

std::string chat(const std::string& members) {
  return R"({"model":"m","messages":[{"role":"user","content":"x"}])" + (members.empty() ? "" : "," + members) + "}";
}
std::string messages(const std::string& list) {
  return R"({"model":"m","stream":false,"messages":)" + list + "}";
}
std::string generate(const std::string& members) {
  return R"({"model":"m","stream":false,"prompt":"p",)" + members + "}";
}
Json messages_of(const std::string& list) {
  const Told told = translate(messages(list));
  EXPECT_EQ(told.fault + told.not_carried + told.dropped, "");
  return told.written["messages"];
}

TEST(OllamaRequest, CopiesTextsAsTheyAreWritten) {
  OllamaRequest request;
  const Padded body(std::string_view(
      R"({"messages":[{"content":"a\u00e9\ud83d\udca7","role":"user"}],"options":{"temperature":1e0},"model":"m\u0041"})"));
  ASSERT_TRUE(request.translate(body.view(), Surface::kOllamaChat));
  EXPECT_EQ(request.written(), R"({"model":"m\u0041","messages":[{"role":"user","content":"a\u00e9\ud83d\udca7"}],)"
                               R"("stream":true,"stream_options":{"include_usage":true},"temperature":1e0})");
}

TEST(OllamaRequest, WritesEachFieldAsAChatHasIt) {
  // What it says, and what the chat completion then has beside `model`, `messages` and `stream`.
  static const std::vector<std::pair<std::string, std::string>> kFields = {
      {R"("options":{"temperature":0.5,"top_p":1,"seed":7,"presence_penalty":1,"frequency_penalty":2})",
       R"({"temperature":0.5,"top_p":1,"seed":7,"presence_penalty":1,"frequency_penalty":2})"},
      {R"("options":{"num_predict":16,"stop":["a","b"]})", R"({"max_tokens":16,"stop":["a","b"]})"},
      {R"("options":{"stop":"a"})", R"({"stop":"a"})"},
      {R"("options":{"num_predict":0,"stop":[],"temperature":null})", "{}"},
      {R"("options":{"num_predict":-1})", "{}"},
      {R"("options":{"num_predict":-2,"stop":""})", "{}"},
      {R"("format":"json")", R"({"response_format":{"type":"json_object"}})"},
      {R"("format":{"type":"object"})",
       R"({"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}}})"},
      {R"("format":{"additionalProperties":false})",
       R"({"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"additionalProperties":false}}}})"},
      {R"("format":"","tools":[],"think":null,"options":null,"keep_alive":null)", "{}"},
      {R"("think":"low")", R"({"reasoning_effort":"low"})"},
      {R"("think":"max")", R"({"reasoning_effort":"xhigh"})"},
      {R"("logprobs":true)", R"({"logprobs":true})"},
      {R"("logprobs":true,"top_logprobs":3)", R"({"logprobs":true,"top_logprobs":3})"},
      {R"("top_logprobs":3)", R"({"logprobs":true,"top_logprobs":3})"},
      {R"("logprobs":false,"top_logprobs":0,"truncate":false,"shift":false)", "{}"},
      {R"("tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"function":{"name":"g"}}])",
       R"({"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}]})"},
  };
  for (const auto& [field, wanted] : kFields) {
    Told told = translate(chat(field));
    EXPECT_EQ(told.fault + told.not_carried + told.dropped, "") << field;
    for (const char* name : {"model", "messages", "stream", "stream_options"}) told.written.erase(name);
    EXPECT_EQ(told.written, Json::parse(wanted)) << field;
  }
}

TEST(OllamaRequest, StreamsUnlessItIsToldNotTo) {
  for (const char* said : {R"("stream":true)", R"("stream":null)", ""}) {
    const Json written = translate(chat(said)).written;
    EXPECT_EQ(written["stream"], true) << said;
    EXPECT_EQ(written["stream_options"]["include_usage"], true) << said;
  }
  const Json whole = translate(chat(R"("stream":false)")).written;
  EXPECT_EQ(whole["stream"], false);
  EXPECT_FALSE(whole.contains("stream_options"));
}

TEST(OllamaRequest, TellsEachKindOfEndpointWhatItKnows) {
  OllamaRequest request;
  const Padded body(chat(
      R"("think":false,"keep_alive":"5m","options":{"top_k":5,"min_p":0.1,"typical_p":1,"repeat_penalty":1.1,"repeat_last_n":64,"mirostat":0,"num_keep":4,"num_ctx":8,"penalize_newline":true})"));
  ASSERT_TRUE(request.translate(body.view(), Surface::kOllamaChat));
  EXPECT_EQ(
      Json::parse("{\"a\":1" + std::string(request.members_for(EndpointKind::kEngine)) + "}"),
      Json::parse(
          R"({"a":1,"chat_template_kwargs":{"enable_thinking":false},"top_k":5,"min_p":0.1,"typical_p":1,"repeat_penalty":1.1,"repeat_last_n":64,"mirostat":0,"n_keep":4})"));
  EXPECT_EQ(request.members_for(EndpointKind::kAnthropic), ",\"top_k\":5");
  EXPECT_EQ(request.members_for(EndpointKind::kOpenAi), "");
  EXPECT_EQ(request.dropped(EndpointKind::kEngine), "options.num_ctx, options.penalize_newline");
  EXPECT_EQ(request.dropped(EndpointKind::kAnthropic),
            "options.num_ctx, options.penalize_newline, keep_alive, think, options.min_p, options.typical_p, "
            "options.repeat_penalty, options.repeat_last_n, options.mirostat, options.num_keep");
  EXPECT_NE(request.dropped(EndpointKind::kOpenAi).find("options.top_k"), std::string::npos);
}

TEST(OllamaRequest, AddsThoseMembersToTheBodyOfThatKindAlone) {
  CallerRequest caller;
  const Padded body(chat(R"("stream":false,"options":{"top_k":5,"min_p":0.1,"num_predict":9})"));
  ASSERT_TRUE(caller.parse(Surface::kOllamaChat, body.view()));
  placement::Question question;
  caller.describe(question, fleet::kAnyEndpointKind);
  EXPECT_EQ(question.carried_by, fleet::kAnyEndpointKind);
  const fleet::EndpointModel model{.name = "n", .upstream_name = "up", .capabilities = {}, .asked = {}};
  const auto body_for = [&](EndpointKind kind) { return Json::parse(caller.body_for(kind, model, {}).joined()); };
  EXPECT_EQ(
      body_for(EndpointKind::kEngine),
      Json::parse(
          R"({"model":"up","stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}],"stream":true,"max_tokens":9,"top_k":5,"min_p":0.1})"));
  EXPECT_EQ(body_for(EndpointKind::kOpenAi),
            Json::parse(R"({"model":"up","messages":[{"role":"user","content":"x"}],"stream":false,"max_tokens":9})"));
  EXPECT_EQ(
      body_for(EndpointKind::kAnthropic),
      Json::parse(
          R"({"model":"up","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"stream":false,"top_k":5})"));
}

TEST(OllamaRequest, MatchesResultsToTheirCalls) {
  EXPECT_EQ(messages_of(
                R"([{"role":"user","content":"u"},
        {"role":"assistant","content":"","thinking":"","tool_calls":[
          {"function":{"index":0,"name":"f","arguments":{"a":"\u00e9"}}},{"function":{"name":"g","arguments":{}}},
          {"id":"own","type":"function","function":{"name":"g","arguments":{}}},{"function":{"name":"\u0067","arguments":{}}}]},
        {"role":"tool","tool_name":"g","content":"second"},{"role":"tool","content":"first"},
        {"role":"tool","tool_call_id":"own","tool_name":"g"},{"role":"tool","tool_name":"g","content":"last"}])"),
            Json::parse(
                R"([{"role":"user","content":"u"},{"role":"assistant","content":"","tool_calls":[
        {"id":"call_1_0","type":"function","function":{"name":"f","arguments":"{\"a\":\"\\u00e9\"}"}},
        {"id":"call_1_1","type":"function","function":{"name":"g","arguments":"{}"}},
        {"id":"own","type":"function","function":{"name":"g","arguments":"{}"}},
        {"id":"call_1_3","type":"function","function":{"name":"g","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"call_1_1","content":"second"},{"role":"tool","tool_call_id":"call_1_0","content":"first"},
        {"role":"tool","tool_call_id":"own","content":""},{"role":"tool","tool_call_id":"call_1_3","content":"last"}])"));
}

TEST(OllamaRequest, TellsAnImageByItsFirstBytes) {
  // The magic numbers of the formats' specifications, and what base64 makes of them.
  static const std::vector<std::pair<std::string, std::string>> kImages = {
      {"iVBORw0KGgo=", "image/png"},          {"\\/9j\\/4AAQ", "image/jpeg"},
      {"\\u002f9j/4AAQ", "image/jpeg"},       {"R0lGODlhAQABAIAAAAAAAP==", "image/gif"},
      {"UklGRiQAAABXRUJQVlA4", "image/webp"},
  };
  for (const auto& [data, type] : kImages) {
    const Json content = messages_of(R"([{"role":"user","content":"","images":[")" + data + R"("]}])")[0]["content"];
    const std::string plain = Json::parse("\"" + data + "\"").get<std::string>();
    ASSERT_EQ(content.size(), 1U) << "an empty text is no part";
    EXPECT_EQ(content[0]["image_url"]["url"], fmt::format("data:{};base64,{}", type, plain));
  }
  for (const char* data : {"UklGRiQAAABXQVZFVlA4", "UklGRg==", "JVBERi0=", "data:image/png;base64,iVBORw0KGgo=", ""}) {
    const Told told =
        translate(messages(R"([{"role":"user","content":"x","images":[")" + std::string(data) + R"("]}])"));
    EXPECT_EQ(told.not_carried, "messages[0].images[0]") << data;
  }
}

TEST(OllamaRequest, WritesAPromptAsAChat) {
  const Told told = translate(generate(R"("system":"s","images":["/9j/"],"template":"","context":[],"suffix":"")"),
                              Surface::kOllamaGenerate);
  EXPECT_EQ(told.fault + told.not_carried + told.dropped, "");
  EXPECT_EQ(
      told.written,
      Json::parse(
          R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"p"},{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,/9j/"}}]}],"stream":false})"));
}

TEST(OllamaRequest, SendsARawPromptAsItIs) {
  const Told told =
      translate(generate(R"("raw":true,"options":{"num_predict":4},"think":false)"), Surface::kOllamaGenerate);
  EXPECT_EQ(told.fault + told.not_carried, "");
  EXPECT_EQ(told.written_for, Surface::kOpenAiCompletions);
  EXPECT_EQ(told.written, Json::parse(R"({"model":"m","prompt":"p","stream":false,"max_tokens":4})"));

  CallerRequest caller;
  const Padded body(generate(R"("suffix":"s")"));
  ASSERT_TRUE(caller.parse(Surface::kOllamaGenerate, body.view()));
  placement::Question question;
  caller.describe(question, fleet::kAnyEndpointKind);
  EXPECT_EQ(question.surface, Surface::kOllamaRaw);
  EXPECT_EQ(question.carried_by, fleet::EndpointKinds{EndpointKind::kOpenAi});
  EXPECT_TRUE(caller.not_carried().starts_with("suffix: "));
  EXPECT_EQ(caller.path_for(EndpointKind::kOpenAi), "/completions");

  for (const char* field : {"system", "template"}) {
    EXPECT_TRUE(translate(generate(R"("raw":true,")" + std::string(field) + R"(":"s")"), Surface::kOllamaGenerate)
                    .fault.starts_with("raw | "))
        << field;
  }
  static const std::vector<std::pair<std::string, std::string>> kNotCarried = {
      {R"("suffix":"s","system":"y")", "system"},  {R"("raw":true,"images":["/9j/"])", "images"},
      {R"("raw":true,"format":"json")", "format"}, {R"("raw":true,"logprobs":true)", "logprobs"},
      {R"("raw":true,"think":true)", "think"},     {R"("raw":true,"top_logprobs":1)", "top_logprobs"},
  };
  for (const auto& [field, wanted] : kNotCarried)
    EXPECT_EQ(translate(generate(field), Surface::kOllamaGenerate).not_carried, wanted) << field;
}

TEST(OllamaRequest, WritesInputsOfEmbeddings) {
  const Told many = translate(
      R"({"model":"m","input":["a","b"],"dimensions":4,"truncate":true,"options":{"num_ctx":8,"temperature":1}})",
      Surface::kOllamaEmbed);
  EXPECT_EQ(many.written, Json::parse(R"({"model":"m","input":["a","b"],"dimensions":4})"));
  EXPECT_EQ(many.dropped, "truncate, options.num_ctx, options.temperature");
  const Told one = translate(R"({"model":"m","prompt":"a","keep_alive":300})", Surface::kOllamaEmbeddings);
  EXPECT_EQ(one.written, Json::parse(R"({"model":"m","input":"a"})"));
  EXPECT_EQ(one.written_for, Surface::kOpenAiEmbeddings);
  EXPECT_EQ(translate(R"({"model":"m","input":["a",1]})", Surface::kOllamaEmbed).fault,
            "input[1] | input[1]: expected a string, but got a number");
  EXPECT_EQ(translate(R"({"model":"m","input":7})", Surface::kOllamaEmbed).fault,
            "input | input: expected a string or an array of strings, but got a number");
  EXPECT_EQ(translate(R"({"model":"m","input":"a","stream":true})", Surface::kOllamaEmbed).not_carried, "stream");
}

TEST(OllamaRequest, KnowsWhatOnlyLoads) {
  using Load = OllamaRequest::Load;
  struct Case {
    Surface surface;
    std::string members;
    Load load;
  };
  static const std::vector<Case> kCases = {
      {Surface::kOllamaChat, "", Load::kLoad},
      {Surface::kOllamaChat, R"(,"messages":[])", Load::kLoad},
      {Surface::kOllamaChat, R"(,"messages":null,"keep_alive":0)", Load::kUnload},
      {Surface::kOllamaChat, R"(,"messages":[ ],"keep_alive":"0s","tools":[])", Load::kUnload},
      {Surface::kOllamaChat, R"(,"keep_alive":-1)", Load::kLoad},
      {Surface::kOllamaGenerate, "", Load::kLoad},
      {Surface::kOllamaGenerate, R"(,"prompt":"","raw":true)", Load::kLoad},
      {Surface::kOllamaGenerate, R"(,"prompt":"","images":["/9j/"])", Load::kNo},
      {Surface::kOllamaEmbed, R"(,"input":[])", Load::kLoad},
      {Surface::kOllamaEmbed, R"(,"input":"","keep_alive":"0")", Load::kUnload},
      {Surface::kOllamaEmbed, R"(,"input":[""])", Load::kNo},
      {Surface::kOllamaEmbeddings, R"(,"prompt":"")", Load::kLoad},
      {Surface::kOllamaEmbeddings, R"(,"prompt":" ")", Load::kNo},
  };
  for (const Case& known : kCases) {
    CallerRequest caller;
    const std::string text = R"({"model":"m")" + known.members + "}";
    const Padded body(text);
    const auto parsed = caller.parse(known.surface, body.view());
    ASSERT_TRUE(parsed) << text << parsed.error().message;
    EXPECT_EQ(caller.load(), known.load) << text;
  }
}

TEST(OllamaRequest, ReadsHowLongTheModelIsToStay) {
  static const std::vector<std::pair<std::string, Duration>> kKept = {
      {"300", 300s},
      {"0.5", 500ms},
      {"0", 0s},
      {"-1", kForEver},
      {"\"5m\"", 5min},
      {"\"1h30m\"", 90min},
      {"\"-1\\u0073\"", kForEver},
      {"1e300", kForEver},
      {"\"24h\"", 24h},
  };
  for (const auto& [said, kept] : kKept) {
    OllamaRequest request;
    const Padded body(chat("\"keep_alive\":" + said));
    ASSERT_TRUE(request.translate(body.view(), Surface::kOllamaChat)) << said;
    EXPECT_EQ(request.keep_alive(), kept) << said;
    EXPECT_EQ(request.dropped(EndpointKind::kEngine), "");
    EXPECT_EQ(request.dropped(EndpointKind::kOpenAi), "keep_alive");
  }
  for (const char* said : {"\"soon\"", "\"\"", "true", "[]", "\"5\"", "{}"})
    EXPECT_TRUE(translate(chat("\"keep_alive\":" + std::string(said))).fault.starts_with("keep_alive | ")) << said;
}

// The cases of Go's own test of ParseDuration (time_test.go), but for those beyond its type.
TEST(OllamaRequest, ReadsDurationsAsGoDoes) {
  static const std::vector<std::pair<std::string, Duration>> kGood = {
      {"0", 0s},
      {"5s", 5s},
      {"30s", 30s},
      {"1478s", 1478s},
      {"-5s", -5s},
      {"+5s", 5s},
      {"-0", 0s},
      {"+0", 0s},
      {"5.0s", 5s},
      {"5.6s", 5600ms},
      {"5.s", 5s},
      {".5s", 500ms},
      {"1.0s", 1s},
      {"1.00s", 1s},
      {"1.004s", 1004ms},
      {"1.0040s", 1004ms},
      {"100.00100s", 100001ms},
      {"10ns", 10ns},
      {"11us", 11us},
      {"12\xC2\xB5s", 12us},
      {"12\xCE\xBCs", 12us},
      {"13ms", 13ms},
      {"14s", 14s},
      {"15m", 15min},
      {"16h", 16h},
      {"3h30m", 210min},
      {"10.5s4m", 250500ms},
      {"-2m3.4s", -123400ms},
      {"39h9m14.425s", 39h + 9min + 14425ms},
  };
  for (const auto& [text, wanted] : kGood) EXPECT_EQ(read_go_duration(text), wanted) << text;
  for (const char* text : {"", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "\x85\x85", "\xFF\xFF", "hello \xFF world"})
    EXPECT_EQ(read_go_duration(text), std::nullopt) << text;
  EXPECT_EQ(read_go_duration("9999999h"), kForEver);
}

TEST(OllamaRequest, NamesWhatCannotBeSaid) {
  static const std::vector<std::pair<std::string, std::string>> kCases = {
      {chat(R"("x_future":1)"), "x_future"},
      {chat(R"("prompt":"p")"), "prompt"},
      {chat(R"("options":{"x":1})"), "options.x"},
      {chat(R"("tools":[{"type":"web","function":{"name":"f"}}])"), "tools[0].type"},
      {chat(R"("tools":[{"function":{"name":"f","x":1}}])"), "tools[0].function.x"},
      {messages(R"([{"role":"developer","content":"x"}])"), "messages[0].role"},
      {messages(R"([{"role":"user","content":"x","name":"n"}])"), "messages[0].name"},
      {messages(R"([{"role":"system","content":"x","images":["/9j/"]}])"), "messages[0].images"},
      {messages(R"([{"role":"user","content":"x","tool_calls":[{}]}])"), "messages[0].tool_calls"},
      {messages(R"([{"role":"user","content":"x","tool_name":"f"}])"), "messages[0].tool_name"},
      {messages(R"([{"role":"tool","content":"x"}])"), "messages[0]"},
      {messages(R"([{"role":"tool","content":"x","tool_call_id":"c"}])"), "messages[0]"},
  };
  for (const auto& [body, wanted] : kCases) EXPECT_EQ(translate(body).not_carried, wanted) << body;
  for (const auto& [field, wanted] : std::vector<std::pair<std::string, std::string>>{
           {R"("template":"t")", "template"}, {R"("context":[1])", "context"}, {R"("messages":[1])", "messages"}})
    EXPECT_EQ(translate(generate(field), Surface::kOllamaGenerate).not_carried, wanted) << field;
  EXPECT_EQ(translate(messages(R"([{"role":"assistant","content":"a","thinking":"t"}])")).dropped, "thinking");
  EXPECT_EQ(translate(chat(R"("truncate":true,"shift":true)")).dropped, "truncate, shift");
}

TEST(OllamaRequest, BlamesWhatIsWrong) {
  static const std::vector<std::pair<std::string, std::string>> kCases = {
      {messages("7"), "messages | "},
      {messages("[7]"), "messages[0] | "},
      {messages(R"([{"role":"user","content":["x"]}])"), "messages[0].content | "},
      {messages(R"([{"role":"user","content":"x","images":"i"}])"), "messages[0].images | "},
      {messages(R"([{"role":"user","content":"x","images":[7]}])"), "messages[0].images[0] | "},
      {messages(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}])"),
       "messages[0].tool_calls[0].function.arguments | "},
      {messages(R"([{"role":"assistant","tool_calls":[{"function":{"arguments":{}}}]}])"),
       "messages[0].tool_calls[0].function.name | "},
      {messages(R"([{"role":"assistant","tool_calls":[7]}])"), "messages[0].tool_calls[0] | "},
      {chat(R"("tools":{})"), "tools | "},
      {chat(R"("tools":[7])"), "tools[0] | "},
      {chat(R"("tools":[{"function":{}}])"), "tools[0].function.name | "},
      {chat(R"("format":"xml")"), "format | "},
      {chat(R"("format":7)"), "format | "},
      {chat(R"("think":"hard")"), "think | "},
      {chat(R"("think":1)"), "think | "},
      {chat(R"("options":[])"), "options | "},
      {chat(R"("options":{"top_k":"5"})"), "options.top_k | "},
      {chat(R"("options":{"num_predict":1.5})"), "options.num_predict | "},
      {chat(R"("options":{"stop":[1]})"), "options.stop | "},
      {chat(R"("logprobs":1)"), "logprobs | "},
      {chat(R"("top_logprobs":"1")"), "top_logprobs | "},
      {chat(R"("truncate":"yes")"), "truncate | "},
  };
  for (const auto& [body, wanted] : kCases)
    EXPECT_TRUE(translate(body).fault.starts_with(wanted)) << body << translate(body).fault;
}

}  // namespace
}  // namespace thalweg::dialect
