#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/dialect/request_body.h"
#include "carry/json/padded_test.h"
#include "carry/json/random_test.h"

namespace thalweg::dialect {
namespace {

using fleet::EndpointKind;
using inference::Capability;
using inference::Surface;
using Json = nlohmann::ordered_json;

// The needs beyond the surface's own, as words.
std::string needs_of(const inference::Request& request) {
  std::string words;
  for (std::size_t i = 0; i < inference::kCapabilityCount; ++i) {
    const auto capability = static_cast<Capability>(i);
    if (capability == Capability::kChat || capability == Capability::kCompletions) continue;
    if (!request.needs.has(capability)) continue;
    if (!words.empty()) words += ' ';
    words += inference::name_of(capability);
  }
  return words;
}

// What a request body says: "parameter: message" of its refusal, else its features that differ from a plain request's.
std::string reading_of(Surface surface, std::string_view body) {
  const json::Padded padded(body);
  OpenAiRequest reader;
  if (const auto read = reader.parse(surface, padded.view()); !read) {
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidRequest);
    return std::string(reader.fault_parameter()) + ": " + read.error().message;
  }
  const inference::Request& request = reader.request();
  EXPECT_EQ(reader.fault_parameter(), "");
  EXPECT_EQ(request.surface, surface);
  EXPECT_TRUE(request.needs.has(surface == Surface::kOpenAiChat ? Capability::kChat : Capability::kCompletions));
  EXPECT_FALSE(request.needs.has(surface == Surface::kOpenAiChat ? Capability::kCompletions : Capability::kChat));
  EXPECT_EQ(request.estimated_input_tokens, (request.prompt_bytes + 3) / 4);
  std::string says = std::string(request.model) + " " + std::to_string(request.prompt_bytes);
  if (request.delivery == inference::Delivery::kStream) says += " stream";
  if (request.wants_usage_frame) says += " usage";
  if (request.choices != 1) says += " x" + std::to_string(request.choices);
  if (request.max_output_tokens != 0) says += " max " + std::to_string(request.max_output_tokens);
  const std::string needs = needs_of(request);
  return says + (needs.empty() ? "" : " needs " + needs);
}

struct Case {
  std::string body;
  std::string reading;
};

// A chat request with one message of the given members besides its role "user" (4 bytes of prompt).
std::string message(std::string_view members) {
  return R"({"model":"m","messages":[{"role":"user",)" + std::string(members) + "}]}";
}
// A chat request, complete but for the given members; its prompt has 4 + 2 bytes.
std::string with(std::string_view members) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + std::string(members) + "}";
}
std::string completion(std::string_view members) {
  return R"({"model":"m",)" + std::string(members) + "}";
}

TEST(OpenAiRequest, ReadsTheFeaturesOfChats) {
  const std::vector<Case> cases = {
      {with(R"("x":1)"), "m 6"},
      {R"({"messages":[{"content":"hi","role":"user"}],"model":"gpt\u002d4"})", "gpt-4 6"},
      {"\n{ \"model\" : \"m\" ,\t\"messages\" : [ { \"role\" : \"user\" , \"content\" : null } ] } \r\n", "m 4"},
      {with(R"("stream":true)"), "m 6 stream"},
      {with(R"("stream":false)"), "m 6"},
      {with(R"("stream":null)"), "m 6"},
      {with(R"("stream":true,"stream_options":{"include_usage":true})"), "m 6 stream usage"},
      {with(R"("stream":true,"stream_options":{"x":{"include_usage":true}})"), "m 6 stream"},
      {with(R"("stream":true,"stream_options":null)"), "m 6 stream"},
      {with(R"("stream_options":{"include_usage":true})"), "m 6"},
      {with(R"("n":1)"), "m 6"},
      {with(R"("n":null)"), "m 6"},
      {with(R"("n":3)"), "m 6 x3 needs n"},
      {with(R"("n":3.0)"), "m 6 x3 needs n"},
      {with(R"("n_cmpl":2)"), "m 6 x2 needs n"},
      {with(R"("n":4096)"), "m 6 x4096 needs n"},
      {with(R"("n":4097)"), "n: at most 4096 choices in one request: 'n' times the number of prompts"},
      {with(R"("n":99999999999999999999999)"),
       "n: at most 4096 choices in one request: 'n' times the number of prompts"},
      {with(R"("n":0)"), "n: Invalid 'n': expected a value >= 1, but got 0 instead."},
      {with(R"("n":1.5)"), "n: Invalid type for 'n': expected an integer, but got 1.5 instead."},
      {with(R"("n":"2")"), "n: Invalid type for 'n': expected an integer, but got a string instead."},
      {with(R"("max_tokens":16)"), "m 6 max 16"},
      {with(R"("max_tokens":-1)"), "m 6"},
      {with(R"("max_completion_tokens":17,"max_tokens":null)"), "m 6 max 17"},
      {with(R"("max_completion_tokens":17,"max_tokens":18)"), "m 6 max 18"},
      {with(R"("n_predict":5000000000)"), "m 6 max 4294967295"},
      {with(R"("max_tokens":123456789012345678901234567890)"), "m 6 max 4294967295"},
      {with(R"("temperature":123456789012345678901234567890123)"), "m 6"},
      {with(R"("tools":null)"), "m 6"},
      {with(R"("tools":[])"), "m 6"},
      {with(R"("tools":[{"type":"function","function":{"name":"f"}}])"), "m 51 needs tools"},
      {with(R"("tools":[{"custom":{"name":"f"},"type":"custom"}])"), "m 47 needs tools"},
      {with(R"("tools":[{"type":"web_search"}])"), "m 29 needs hosted_tools"},
      {with(R"("tools":[{"type":"fun\u0063tion"}])"), "m 32 needs tools"},
      {with(R"("tools":[{"x":1}])"), "tools[0].type: Missing required parameter: 'tools[0].type'."},
      {with(R"("tools":{})"),
       "tools: Invalid type for 'tools': expected an array of objects, but got an object instead."},
      {with(R"("tools":[1])"), "tools[0]: Invalid type for 'tools[0]': expected an object, but got a number instead."},
      {with(R"("functions":[{"name":"f"}])"), "m 20 needs tools"},
      {with(R"("functions":[])"), "m 6"},
      {with(R"("web_search_options":{})"), "m 6 needs hosted_tools"},
      {with(R"("web_search_options":null)"), "m 6"},
      {with(R"("response_format":{"type":"text"})"), "m 6"},
      {with(R"("response_format":{"type":"json_object"})"), "m 6 needs json_schema"},
      {with(R"("response_format":{"json_schema":{"schema":{"type":"text"}},"type":"json_schema"})"),
       "m 6 needs json_schema"},
      {with(R"("response_format":{"type":"grammar"})"), "m 6 needs json_schema"},
      {with(R"("response_format":"json")"),
       "response_format: Invalid type for 'response_format': expected an object, but got a string instead."},
      {with(R"("modalities":["text"])"), "m 6"},
      {with(R"("modalities":["text","audio"],"audio":{"voice":"v"})"), "m 6 needs audio"},
      {with(R"("modalities":["text","image"])"), "m 6 needs images"},
      {with(R"("logprobs":true)"), "m 6 needs logprobs"},
      {with(R"("logprobs":false,"top_logprobs":0)"), "m 6"},
      {with(R"("top_logprobs":5)"), "m 6 needs logprobs"},
      {with(R"("logprobs":5)"), "logprobs: Invalid type for 'logprobs': expected a boolean, but got a number instead."},
      {with(R"("store":true)"), "m 6 needs store"},
      {with(R"("store":false)"), "m 6"},
      {with(R"("best_of":7,"prompt":5)"), "m 6"},
      {with(R"("stream":"yes")"), "stream: Invalid type for 'stream': expected a boolean, but got a string instead."},
      {with(R"("stream":true,"stream_options":{"include_usage":1})"),
       "stream_options.include_usage: Invalid type for 'stream_options.include_usage': expected a boolean, but got a "
       "number "
       "instead."},
      {with(R"("stream_options":[])"),
       "stream_options: Invalid type for 'stream_options': expected an object, but got an array instead."},
  };
  for (const Case& test : cases) EXPECT_EQ(reading_of(Surface::kOpenAiChat, test.body), test.reading) << test.body;
}

TEST(OpenAiRequest, ReadsMessages) {
  const std::vector<Case> cases = {
      {message(R"("content":"a\u00e9\n\ud83d\ude00")"), "m 12"},  // 4 + 1 + 2 + 1 + 4
      {message("\"content\":\"\xE2\x82\xAC\""), "m 7"},
      {message(R"("name":"Bob","content":"")"), "m 7"},
      {message(R"("content":[{"type":"text","text":"abc"}])"), "m 7"},
      {message(R"("content":[{"text":"abc","type":"text"},{"type":"refusal","refusal":"no"}])"), "m 9"},
      {message(R"("content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}])"),
       "m 4 needs images"},
      {message(R"("content":[{"type":"text","text":"a","image_url":{"url":"x"}}])"), "m 5 needs images"},
      {message(R"("content":[{"type":"text","text":"a","image_url":null}])"), "m 5"},
      {message(R"("content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}])"),
       "m 4 needs audio"},
      {message(R"("content":[{"type":"file","file":{"file_id":"f"}}])"), "m 4 needs files"},
      {message(R"("content":[{"type":"video_url","video_url":{"url":"x"}}])"), "m 4 needs files"},
      {message(R"("content":[{"type":"novel","matter":"abc"}])"), "m 7 needs files"},
      {message(R"("content":[])"), "m 4"},
      {message(R"("content":[{"text":"a"}])"),
       "messages[0].content[0].type: Missing required parameter: 'messages[0].content[0].type'."},
      {message(R"("content":[{"type":1}])"),
       "messages[0].content[0].type: Invalid type for 'messages[0].content[0].type': expected a string, but got a "
       "number instead."},
      {message(R"("content":["a"])"),
       "messages[0].content[0]: Invalid type for 'messages[0].content[0]': expected an object, but got a string "
       "instead."},
      {message(R"("content":5)"),
       "messages[0].content: Invalid type for 'messages[0].content': expected a string or an array of objects, but got "
       "a number "
       "instead."},
      {message(R"("tool_calls":[])"), "m 4"},
      {message(R"("tool_calls":null)"), "m 4"},
      {message(R"("tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}])"),
       "m 16 needs tools"},
      {message(R"("function_call":{"name":"f","arguments":"{}"})"), "m 7 needs tools"},
      {message(R"("function_call":null)"), "m 4"},
      {message(R"("audio":{"id":"a"})"), "m 4 needs audio"},
      {R"({"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":"r"}]})", "m 6 needs tools"},
      {R"({"model":"m","messages":[{"role":"function","content":"r"}]})", "m 9 needs tools"},
      {R"({"model":"m","messages":[{"content":"r"}]})",
       "messages[0].role: Missing required parameter: 'messages[0].role'."},
      {R"({"model":"m","messages":[{"role":"user"},{"role":7}]})",
       "messages[1].role: Invalid type for 'messages[1].role': expected a string, but got a number instead."},
      {R"({"model":"m","messages":["hi"]})",
       "messages[0]: Invalid type for 'messages[0]': expected an object, but got a string instead."},
      {R"({"model":"m","messages":"hi"})",
       "messages: Invalid type for 'messages': expected an array of objects, but got a string instead."},
      {R"({"model":"m","messages":null})",
       "messages: Invalid type for 'messages': expected an array of objects, but got null instead."},
      {R"({"model":"m","messages":[]})",
       "messages: Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array "
       "instead."},
      {R"({"model":"m"})", "messages: Missing required parameter: 'messages'."},
      {R"({"model":"m","prompt":"x"})", "messages: Missing required parameter: 'messages'."},
      {R"({"messages":[{"role":"user","content":"hi"}]})", "model: you must provide a model parameter"},
      {R"({"model":"","messages":[{"role":"user"}]})", "model: you must provide a model parameter"},
      {R"({"model":null,"messages":[{"role":"user"}]})",
       "model: Invalid type for 'model': expected a string, but got null instead."},
  };
  for (const Case& test : cases) EXPECT_EQ(reading_of(Surface::kOpenAiChat, test.body), test.reading) << test.body;
}

TEST(OpenAiRequest, ReadsCompletions) {
  const std::vector<Case> cases = {
      {completion(R"("prompt":"abc")"), "m 3"},
      {completion(R"("prompt":"")"), "m 0"},
      {completion(R"("prompt":["abc"])"), "m 3"},
      {completion(R"("prompt":["abc","de"])"), "m 5 x2 needs n"},
      {completion(R"("prompt":["abc","de"],"n":2)"), "m 5 x4 needs n"},
      {completion(R"("prompt":[1,2,3])"), "m 12"},
      {completion(R"("prompt":[[1,2],[3]])"), "m 12 x2 needs n"},
      {completion(R"("prompt":"a","best_of":3)"), "m 1 needs n"},
      {completion(R"("prompt":"a","logprobs":0)"), "m 1 needs logprobs"},
      {completion(R"("prompt":"a","logprobs":null)"), "m 1"},
      {completion(R"("prompt":"a","max_tokens":9,"stream":true)"), "m 1 stream max 9"},
      {completion(R"("prompt":"a","messages":5)"), "m 1"},
      {completion(R"("prompt":"a","logprobs":true)"),
       "logprobs: Invalid type for 'logprobs': expected an integer, but got true instead."},
      {completion(R"("prompt":[])"),
       "prompt: Invalid 'prompt': empty array. Expected an array with minimum length 1, but got an empty array "
       "instead."},
      {completion(R"("prompt":["a",1])"),
       "prompt[1]: Invalid type for 'prompt[1]': expected a string, but got a number instead."},
      {completion(R"("prompt":[{"a":1}])"),
       "prompt[0]: Invalid type for 'prompt[0]': expected a string, a token number or an array of token numbers, but "
       "got an "
       "object instead."},
      {completion(R"("prompt":[["a"]])"),
       "prompt: Invalid type for 'prompt': expected token numbers in an array of arrays, but got a string instead."},
      {completion(R"("prompt":null)"),
       "prompt: Invalid type for 'prompt': expected a string, an array of strings or an array of token numbers, but "
       "got null "
       "instead."},
      {completion(R"("x":1)"), "prompt: Missing required parameter: 'prompt'."},
      {completion(R"("prompt":["a","b"],"n":2049)"),
       "prompt: at most 4096 choices in one request: 'n' times the number of prompts"},
  };
  for (const Case& test : cases)
    EXPECT_EQ(reading_of(Surface::kOpenAiCompletions, test.body), test.reading) << test.body;
}

TEST(OpenAiRequest, RefusesWhatIsNoJsonObjectAndNamesTheByte) {
  const std::string depth = [] {
    std::string deep = R"({"model":"m","messages":[{"role":"user"}],"x":)";
    return deep + std::string(json::kMaxDepth - 1, '[') + std::string(json::kMaxDepth - 1, ']') + "}";
  }();
  std::string too_deep = depth;
  too_deep.insert(too_deep.find("[[["), "[");
  too_deep.insert(too_deep.size() - 1, "]");
  const std::vector<Case> cases = {
      {"", ": the request body is empty: send a JSON object"},
      {"[]", ": the request body must be a JSON object, but it is an array"},
      {"5 5", ": the request body is not valid JSON: bytes behind the JSON value at byte 2"},
      {"hello", ": the request body is not valid JSON: expected a value at byte 0"},
      {with(R"("x":1)") + "x", ": the request body is not valid JSON: bytes behind the JSON value at byte 63"},
      {with(R"("model":"other")"),
       ": the request body is not valid JSON: the name \"model\" stands twice in one object at byte 57"},
      {with(R"("mod\u0065l":"other")"),
       ": the request body is not valid JSON: the name \"model\" stands twice in one object at byte 57"},
      {with(R"("stream_options":{"include_usage":true,"include_usage":false})"),
       ": the request body is not valid JSON: the name \"include_usage\" stands twice in one object at byte 96"},
      // A fault of the JSON goes before a wrong type, wherever both stand.
      {R"({"model":5,"messages":[}])", ": the request body is not valid JSON: expected a value at byte 23"},
      {message(R"("content":"\ud800")"), ": the request body is not valid JSON: a lone surrogate at byte 51"},
      {message("\"content\":\"\xC3\""), ": the request body is not valid JSON: invalid UTF-8 at byte 51"},
      {depth, "m 4"},
      {too_deep, ": the request body is not valid JSON: more than 128 levels of nesting at byte 173"},
  };
  for (const Case& test : cases) EXPECT_EQ(reading_of(Surface::kOpenAiChat, test.body), test.reading) << test.body;
}

// A body of a hundred thousand names must cost n log n: with n squared this test would run for minutes.
TEST(OpenAiRequest, FindsADuplicateAmongAHundredThousandNames) {
  std::string names;
  for (int i = 0; i < 100000; ++i) names += "\"x" + std::to_string(i) + "\":0,";
  EXPECT_EQ(reading_of(Surface::kOpenAiChat, with(names + "\"y\":0")), "m 6");
  EXPECT_EQ(reading_of(Surface::kOpenAiChat, with(names + "\"x4711\":0")),
            ": the request body is not valid JSON: the name \"x4711\" stands twice in one object at byte " +
                std::to_string(57 + names.size()));
}

TEST(OpenAiRequest, IsReusedWithoutMemoryOfTheLastBody) {
  const json::Padded rich(with(
      R"("n":2,"stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function"}],"max_tokens":3,"store":true)"));
  const json::Padded wrong(R"({"model":"m","messages":5})");
  const json::Padded plain(with(R"("x":1)"));
  OpenAiRequest reader;
  ASSERT_TRUE(reader.parse(Surface::kOpenAiChat, rich.view()));
  ASSERT_FALSE(reader.parse(Surface::kOpenAiChat, wrong.view()));
  EXPECT_EQ(reader.fault_parameter(), "messages");
  ASSERT_TRUE(reader.parse(Surface::kOpenAiChat, plain.view()));
  EXPECT_EQ(reader.fault_parameter(), "");
  EXPECT_EQ(needs_of(reader.request()), "");
  EXPECT_EQ(reader.request().choices, 1U);
  EXPECT_EQ(reader.request().max_output_tokens, 0U);
  EXPECT_EQ(reader.body_for(EndpointKind::kOpenAi, "m", {}).joined(), plain.view());
}

struct EditCase {
  std::string body;
  std::string edited;
};

void expect_edits(Surface surface, EndpointKind kind, const placement::Obligations& obligations,
                  const std::vector<EditCase>& cases) {
  for (const EditCase& test : cases) {
    const json::Padded padded(test.body);
    OpenAiRequest reader;
    const auto read = reader.parse(surface, padded.view());
    ASSERT_TRUE(read) << read.error().message << "\n" << test.body;
    const json::SlicedBody& sliced = reader.body_for(kind, "up", obligations);
    EXPECT_EQ(sliced.joined(), test.edited);
    EXPECT_EQ(sliced.size(), test.edited.size());
    EXPECT_EQ(reader.body_for(kind, "up", obligations).joined(), test.edited) << "the second time";
    EXPECT_TRUE(Json::accept(sliced.joined()));
  }
}

TEST(OpenAiRequest, EditsTowardsAnOpenAiServerOnlyWhatTheListNames) {
  const std::string rest = R"("messages":[{"role":"user","content":"model"}]})";
  expect_edits(Surface::kOpenAiChat, EndpointKind::kOpenAi, {},
               {
                   {R"({"model":"m",)" + rest, R"({"model":"up",)" + rest},
                   {R"({"model":"up",)" + rest, R"({"model":"up",)" + rest},
                   {R"({ "mod\u0065l" : "\u006d" , )" + rest, R"({ "mod\u0065l" : "up" , )" + rest},
                   {R"({"model":"m","stream":false,)" + rest, R"({"model":"up","stream":false,)" + rest},
                   {R"({"model":"m","store":true,"max_tokens":99,)" + rest,
                    R"({"model":"up","store":true,"max_tokens":99,)" + rest},
                   {R"({"stream":true,"model":"m",)" + rest,
                    R"({"stream":true,"model":"up","stream_options":{"include_usage":true},)" + rest},
                   {R"({"stream":true,"model":"m","stream_options":null,)" + rest,
                    R"({"stream":true,"model":"up","stream_options":{"include_usage":true},)" + rest},
                   {R"({"stream":true,"model":"m","stream_options":{ },)" + rest,
                    R"({"stream":true,"model":"up","stream_options":{"include_usage":true},)" + rest},
                   {R"({"stream":true,"stream_options":{ "a":1 },"model":"m",)" + rest,
                    R"({"stream":true,"stream_options":{"include_usage":true, "a":1 },"model":"up",)" + rest},
                   {R"({"stream":true,"stream_options":{"include_usage" : false,"a":1},"model":"m",)" + rest,
                    R"({"stream":true,"stream_options":{"include_usage" : true,"a":1},"model":"up",)" + rest},
                   {R"({"stream":true,"stream_options":{"include_usag\u0065":null},"model":"m",)" + rest,
                    R"({"stream":true,"stream_options":{"include_usag\u0065":true},"model":"up",)" + rest},
                   {R"({"stream":true,"stream_options":{"include_usage":true},"model":"m",)" + rest,
                    R"({"stream":true,"stream_options":{"include_usage":true},"model":"up",)" + rest},
                   {R"({"stream_options":{"include_usage":false},"model":"m",)" + rest,
                    R"({"stream_options":{"include_usage":false},"model":"up",)" + rest},
                   {R"({"model":"m","messages":[{"role":"assistant","content":"The"}]})",
                    R"({"model":"up","messages":[{"role":"assistant","content":"The"}]})"},
               });
}

TEST(OpenAiRequest, EditsTowardsTheEngineAlsoStreamAndPrefill) {
  const std::string rest = R"("messages":[{"role":"user","content":"model"}]})";
  const std::string usage = R"("stream_options":{"include_usage":true})";
  const std::string prefill = R"("continue_final_message":true,"add_generation_prompt":false)";
  const std::string last = R"("messages":[{"role":"user"},{"content":"The","role":"assistant"}]})";
  const std::string not_last = R"("messages":[{"role":"assistant","content":"a"},{"role":"user"}]})";
  const std::string calls = R"("messages":[{"role":"assistant","tool_calls":[{"id":"x"}]}]})";
  expect_edits(
      Surface::kOpenAiChat, EndpointKind::kEngine, {},
      {
          {R"({"model":"m",)" + rest, R"({"model":"up","stream":true,)" + usage + "," + rest},
          {R"({"model":"m","stream":false,)" + rest, R"({"model":"up",)" + usage + R"(,"stream":true,)" + rest},
          {R"({"model":"m","stream" : null ,)" + rest, R"({"model":"up",)" + usage + R"(,"stream" : true ,)" + rest},
          {R"({"model":"m","stream":true,)" + usage + "," + rest,
           R"({"model":"up","stream":true,)" + usage + "," + rest},
          {R"({"model":"m",)" + last, R"({"model":"up","stream":true,)" + prefill + "," + usage + "," + last},
          {R"({"model":"m",)" + not_last, R"({"model":"up","stream":true,)" + usage + "," + not_last},
          {R"({"model":"m",)" + calls, R"({"model":"up","stream":true,)" + usage + "," + calls},
          {R"({"model":"m","add_generation_prompt":true,)" + last,
           R"({"model":"up","stream":true,)" + usage + R"(,"add_generation_prompt":true,)" + last},
          {R"({"model":"m","continue_final_message":false,)" + last,
           R"({"model":"up","stream":true,)" + usage + R"(,"continue_final_message":false,)" + last},
      });
  expect_edits(Surface::kOpenAiCompletions, EndpointKind::kEngine, {},
               {{R"({"prompt":"a","model":"m"})", R"({"prompt":"a","model":"up","stream":true,)" + usage + "}"}});
}

TEST(OpenAiRequest, CarriesOutObligations) {
  const std::string rest = R"("messages":[{"role":"user"}]})";
  expect_edits(
      Surface::kOpenAiChat, EndpointKind::kOpenAi, {.output_cap = 50},
      {
          {R"({"model":"m",)" + rest, R"({"model":"up","max_tokens":50,)" + rest},
          {R"({"model":"m","max_tokens":50,)" + rest, R"({"model":"up","max_tokens":50,)" + rest},
          {R"({"model":"m","max_tokens":51,)" + rest, R"({"model":"up","max_tokens":50,)" + rest},
          {R"({"model":"m","max_tokens":5e1,)" + rest, R"({"model":"up","max_tokens":5e1,)" + rest},
          {R"({"model":"m","max_tokens":-1,)" + rest, R"({"model":"up","max_tokens":50,)" + rest},
          {R"({"model":"m","max_tokens":null,)" + rest, R"({"model":"up","max_tokens":50,)" + rest},
          {R"({"model":"m","max_completion_tokens":99999999999999999999,)" + rest,
           R"({"model":"up","max_completion_tokens":50,)" + rest},
          {R"({"model":"m","max_completion_tokens":7,)" + rest, R"({"model":"up","max_completion_tokens":7,)" + rest},
          {R"({"model":"m","max_completion_tokens":null,)" + rest,
           R"({"model":"up","max_tokens":50,"max_completion_tokens":null,)" + rest},
          {R"({"model":"m","max_completion_tokens":99,"max_tokens":98,)" + rest,
           R"({"model":"up","max_completion_tokens":50,"max_tokens":50,)" + rest},
          {R"({"model":"m","n_predict":-1,)" + rest, R"({"model":"up","max_tokens":50,"n_predict":50,)" + rest},
      });
  expect_edits(Surface::kOpenAiCompletions, EndpointKind::kOpenAi, {.output_cap = 50},
               {{R"({"prompt":"a","max_completion_tokens":7,"model":"m"})",
                 R"({"prompt":"a","max_completion_tokens":7,"model":"up","max_tokens":50})"}});
  expect_edits(Surface::kOpenAiChat, EndpointKind::kOpenAi, {.no_storage = true},
               {
                   {R"({"model":"m",)" + rest, R"({"model":"up","store":false,)" + rest},
                   {R"({"model":"m","store":true,)" + rest, R"({"model":"up","store":false,)" + rest},
                   {R"({"model":"m","store":null,)" + rest, R"({"model":"up","store":false,)" + rest},
                   {R"({"model":"m","store":false,)" + rest, R"({"model":"up","store":false,)" + rest},
               });
}

TEST(OpenAiRequest, QuotesTheEndpointsNameOfTheModel) {
  const json::Padded body(with(R"("x":1)"));
  OpenAiRequest reader;
  ASSERT_TRUE(reader.parse(Surface::kOpenAiChat, body.view()));
  const std::string name = "a\"b\\c\n/\xC3\xA9";
  EXPECT_EQ(Json::parse(reader.body_for(EndpointKind::kOpenAi, name, {}).joined())["model"], name);
}

// What the edited body must say, worked out by an independent reader from the caller's.
Json expected_edit(const std::string& body, EndpointKind kind, const placement::Obligations& obligations) {
  Json tree = Json::parse(body);
  const bool engine = kind == EndpointKind::kEngine;
  tree["model"] = "up";
  if (engine) tree["stream"] = true;
  if (tree.contains("stream") && tree["stream"] == true) {
    if (!tree.contains("stream_options") || tree["stream_options"].is_null()) tree["stream_options"] = Json::object();
    tree["stream_options"]["include_usage"] = true;
  }
  if (engine && tree["messages"].back()["role"] == "assistant" && !tree.contains("continue_final_message") &&
      !tree.contains("add_generation_prompt")) {
    tree["continue_final_message"] = true;
    tree["add_generation_prompt"] = false;
  }
  if (obligations.output_cap != 0) {
    bool bound = false;
    for (const char* name : {"max_tokens", "max_completion_tokens"}) {
      if (!tree.contains(name) || tree[name].is_null()) continue;
      bound = true;
      if (tree[name] < 0 || tree[name] > obligations.output_cap) tree[name] = obligations.output_cap;
    }
    if (!bound) tree["max_tokens"] = obligations.output_cap;
  }
  if (obligations.no_storage) tree["store"] = false;
  return tree;
}

// The law of splicing: the caller's members stay in their order and, but for the values of the list, byte for byte.
TEST(OpenAiRequest, ChangesNothingBesideTheClosedList) {
  json::RandomJson random(json::fresh_seed());
  static const std::vector<std::string> kEditable = {
      "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "store"};
  for (int i = 0; i < 4000; ++i) {
    std::vector<std::pair<std::string, std::string>> members;  // the name, and the value as written
    members.emplace_back("model", random.spelled("some-model"));
    const std::string role = random.chance(30) ? "assistant" : "user";
    members.emplace_back("messages", "[" + random.space() + "{\"role\":\"user\",\"content\":" + random.string() + "}," +
                                         random.space() + "{\"content\":" + random.string() +
                                         ",\"role\":" + random.spelled(role) + "}" + random.space() + "]");
    const auto one_of = [&](std::initializer_list<const char*> texts) {
      return std::string(texts.begin()[random.below(texts.size())]);
    };
    if (random.chance(70)) members.emplace_back("stream", one_of({"true", "false", "null"}));
    if (random.chance(60)) {
      members.emplace_back("stream_options",
                           one_of({"null", "{}", "{ }", "{\"include_usage\":true}", "{ \"include_usage\" : false }",
                                   "{\"x\":[1, 2],\"include_usage\":null,\"y\":{}}", "{\"x\":\"include_usage\"}"}));
    }
    if (random.chance(40)) members.emplace_back("max_tokens", one_of({"null", "5", "500", "-1"}));
    if (random.chance(40)) members.emplace_back("max_completion_tokens", one_of({"null", "5", "500", "-1"}));
    if (random.chance(40)) members.emplace_back("store", one_of({"true", "false", "null"}));
    if (random.chance(10)) members.emplace_back("continue_final_message", "true");
    for (std::uint64_t n = random.below(4); n > 0; --n) members.emplace_back("x" + std::to_string(n), random.value(4));
    for (std::size_t k = members.size(); k > 1; --k) std::swap(members[k - 1], members[random.below(k)]);

    std::string body = random.space() + "{" + random.space();
    for (std::size_t k = 0; k < members.size(); ++k) {
      if (k != 0) body += "," + random.space();
      body +=
          random.spelled(members[k].first) + random.space() + ":" + random.space() + members[k].second + random.space();
    }
    body += "}" + random.space();

    const auto kind = random.chance(50) ? EndpointKind::kEngine : EndpointKind::kOpenAi;
    const placement::Obligations obligations{.output_cap = random.chance(40) ? 100U : 0U,
                                             .no_storage = random.chance(30)};
    const json::Padded padded(body);
    OpenAiRequest reader;
    const auto read = reader.parse(Surface::kOpenAiChat, padded.view());
    ASSERT_TRUE(read) << read.error().message << "\n" << body;
    const json::SlicedBody& sliced = reader.body_for(kind, "up", obligations);
    const std::string edited = sliced.joined();

    const Json tree = Json::parse(edited);
    ASSERT_EQ(nlohmann::json(tree), nlohmann::json(expected_edit(body, kind, obligations))) << body << "\n" << edited;
    // Every value outside the list stands in the edited body as it was written.
    for (const auto& [name, value] : members) {
      if (std::ranges::find(kEditable, name) == kEditable.end()) {
        ASSERT_NE(edited.find(value), std::string::npos) << name << "\n" << body << "\n" << edited;
      }
    }
    // The slices of the caller's bytes come in order and leave out nothing but values of the list.
    const char* at = padded.view().data();
    const char* const end = at + padded.view().size();
    for (const std::string_view slice : sliced.slices()) {
      if (slice.data() < padded.view().data() || slice.data() > end) continue;
      const std::string_view left_out(at, static_cast<std::size_t>(slice.data() - at));
      static const std::vector<std::string> kReplaced = {"", "null", "true", "false", "500", "-1", "{}", "{ }"};
      ASSERT_TRUE(std::ranges::find(kReplaced, left_out) != kReplaced.end() || left_out.starts_with('"'))
          << left_out << "\n"
          << body;
      if (left_out.starts_with('"')) {
        ASSERT_EQ(Json::parse(left_out), "some-model");
      }
      at = slice.data() + slice.size();
    }
    ASSERT_EQ(at, end);
  }
}

}  // namespace
}  // namespace thalweg::dialect
