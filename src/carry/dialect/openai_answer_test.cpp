#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/http/sse.h"
#include "carry/json/padded_test.h"
#include "carry/json/random_test.h"

namespace thalweg::dialect {
namespace {

using inference::Surface;
using Json = nlohmann::ordered_json;

std::string words_of(const inference::FrameFacts& facts) {
  std::string words;
  const auto add = [&](bool fact, const char* word) {
    if (fact) words += (words.empty() ? "" : " ") + std::string(word);
  };
  add(facts.text, "text");
  add(facts.tool, "tool");
  add(facts.finish, "finish");
  add(facts.usage, "usage");
  add(facts.error, "error");
  add(facts.terminator, "end");
  return words.empty() ? "other" : words;
}

struct Told {
  std::vector<std::string> frames;  // the facts of each; "withheld" and "fault: ..." beside
  std::string out;
};

// Feeds a stream cut into pieces of `piece` bytes.
Told read_stream(OpenAiAnswer& answer, std::string_view stream, std::size_t piece) {
  Told told;
  http::SseReader reader(1 << 20);
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    const json::Padded padded(stream.substr(at, piece));
    reader.feed(padded.view());
    http::SseFrame frame;
    for (;;) {
      const auto more = reader.next(frame);
      EXPECT_TRUE(more);
      if (!more || !*more) break;
      const auto read = answer.read_frame(frame, told.out);
      if (!read) {
        EXPECT_EQ(read.error().code, ErrorCode::kUpstreamFailed);
        told.frames.push_back("fault: " + read.error().message);
      } else {
        told.frames.push_back(words_of(read->facts) + (read->withheld ? ", withheld" : ""));
      }
    }
  }
  return told;
}

inference::Request request_of(Surface surface, bool wants_usage, std::uint32_t choices = 1) {
  inference::Request request;
  request.surface = surface;
  request.delivery = inference::Delivery::kStream;
  request.wants_usage_frame = wants_usage;
  request.choices = choices;
  return request;
}

// The frames' facts and bytes, the same however the stream is cut.
Told told_of(const inference::Request& request, std::string_view stream) {
  OpenAiAnswer answer;
  answer.begin(request, "shown", false);
  const Told told = read_stream(answer, stream, stream.size());
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U}) {
    answer.begin(request, "shown", false);
    const Told cut = read_stream(answer, stream, piece);
    EXPECT_EQ(cut.frames, told.frames) << piece;
    EXPECT_EQ(cut.out, told.out) << piece;
  }
  return told;
}

std::string event_of(std::string_view json) {
  return "data: " + std::string(json) + "\n\n";
}
std::string chunk(std::string_view choice, std::string_view more = "") {
  return event_of(R"({"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4.1-2025","choices":[)" +
                  std::string(choice) + "]" + std::string(more) + "}");
}
std::string shown(std::string text) {
  for (std::size_t at = 0; (at = text.find("\"gpt-4.1-2025\"", at)) != std::string::npos;)
    text.replace(at, 14, "\"shown\"");
  return text;
}

struct FactCase {
  std::string frame;
  std::string facts;
};

TEST(OpenAiAnswer, ReadsTheFactsOfAFrame) {
  const std::vector<FactCase> cases = {
      {chunk(R"({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null})"), "other"},
      {chunk(R"({"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null})"), "other"},
      {chunk(R"({"index":0,"delta":{"content":"x"}})"), "text"},
      {chunk(R"({"index":0,"delta":{"refusal":"no"}})"), "text"},
      {chunk(R"({"index":0,"delta":{"reasoning_content":"hm"}})"), "text"},
      {chunk(R"({"index":0,"delta":{"reasoning":"hm"}})"), "text"},
      {chunk(R"({"index":0,"delta":{"content":[{"type":"thinking"}]}})"), "text"},
      {chunk(R"({"index":0,"delta":{"content":[]}})"), "other"},
      {chunk(R"({"index":0,"delta":{"audio":{"data":"AA"}}})"), "text"},
      {chunk(R"({"index":0,"delta":{},"logprobs":{"content":[]}})"), "text"},
      {chunk(R"({"index":0,"delta":{},"logprobs":null})"), "other"},
      {chunk(R"({"index":0,"text":"x"})"), "text"},
      {chunk(R"({"index":0,"text":""})"), "other"},
      {chunk(R"({"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}})"), "tool"},
      {chunk(R"({"index":0,"delta":{"tool_calls":[]}})"), "other"},
      {chunk(R"({"index":0,"delta":{"function_call":{"name":"f"}}})"), "tool"},
      {chunk(R"({"index":0,"delta":{"content":"x"},"finish_reason":"stop"})"), "text finish"},
      {chunk(R"({"index":0,"delta":{},"finish_reason":""})"), "other"},
      {chunk(R"({"index":0,"delta":{},"finish_reason":"error"})"), "error"},
      {chunk(R"({"index":1,"delta":{},"finish_reason":"stop"})"), "other"},
      {chunk(R"({"index":-1,"delta":{},"finish_reason":"stop"})"), "other"},
      {chunk(R"({"delta":{},"finish_reason":"stop"})"), "finish"},
      {chunk("", R"(,"usage":{"prompt_tokens":1,"completion_tokens":2})"), "usage"},
      {chunk("", R"(,"usage":{})"), "other"},
      {chunk("", R"(,"usage":null)"), "other"},
      {chunk("", R"(,"error":null)"), "other"},
      {chunk("", R"(,"error":{"message":"m"})"), "error"},
      {event_of(R"({"error":"overloaded"})"), "error"},
      {event_of(R"({"error":{}})"), "error"},
      {event_of(R"({"type":"ping"})"), "other"},
      {"event: error\ndata: {\"detail\":\"x\"}\n\n", "error"},
      {"event: error\ndata: no JSON\n\n", "error"},
      {event_of("[DONE]"), "end"},
      {event_of(" [DONE] "), "end"},
      {": keep-alive\n\n", "other"},
      {"data:\n\n", "other, withheld"},
      {event_of("null"), "other, withheld"},
      {event_of("[]"), "fault: the endpoint's answer is not valid: JSON, but no object"},
      {event_of("oops"), "fault: the endpoint's answer is not valid: no JSON object"},
      {event_of("{\"a\":1"), "fault: the endpoint's answer is not valid: expected ',' or '}' at byte 6"},
      {event_of("{\"choices\":5}"), "fault: the endpoint's answer is not valid: `choices` is no array"},
      {event_of("{\"choices\":[5]}"), "fault: the endpoint's answer is not valid: a choice that is no object"},
      {event_of("{\"model\":1,\"model\":2}"),
       "fault: the endpoint's answer is not valid: a field that tells the answer's meaning stands in it twice"},
      {event_of("{\"a\":\"\xFF\"}"), "fault: the endpoint's answer is not valid: invalid UTF-8 at byte 6"},
  };
  for (const FactCase& test : cases) {
    const Told told = told_of(request_of(Surface::kOpenAiChat, true), test.frame);
    ASSERT_EQ(told.frames.size(), 1U) << test.frame;
    EXPECT_EQ(told.frames[0], test.facts) << test.frame;
  }
}

TEST(OpenAiAnswer, PassesBytesOnWithNothingChangedButTheModel) {
  const std::string stream =
      ": hello\n\n" + chunk(R"({"index":0,"delta":{"role":"assistant","content":""}})", R"(,"usage":null)") +
      ":\r\n\r\n" +
      "id: 7\r\ndata:{ \"x\" : \"\\u00e9 model\", \"mod\\u0065l\" : \"gpt-4.1-2025\" , \"choices\":[] }\r\n\r\n" +
      chunk(R"({"index":0,"delta":{"content":"\ud83d"},"finish_reason":"stop"})") +
      chunk("", R"(,"usage":{"prompt_tokens":1,"completion_tokens":2})") + event_of("[DONE]");
  const Told told = told_of(request_of(Surface::kOpenAiChat, true), stream);
  EXPECT_EQ(told.out, shown(stream));
  EXPECT_EQ(told.frames, (std::vector<std::string>{"other", "other", "other", "other", "text finish", "usage", "end"}));
}

TEST(OpenAiAnswer, JoinsAFrameOfSeveralLinesIntoOne) {
  const Told told =
      told_of(request_of(Surface::kOpenAiChat, true),
              "event: delta\ndata: {\"model\":\"gpt\",\ndata: \"choices\":[{\"delta\":{\"content\":\"a\\nb\"}}]}\n\n");
  EXPECT_EQ(told.out,
            "event: delta\ndata: {\"model\":\"shown\", \"choices\":[{\"delta\":{\"content\":\"a\\nb\"}}]}\n\n");
  EXPECT_EQ(told.frames, std::vector<std::string>{"text"});
}

TEST(OpenAiAnswer, QuotesTheShownName) {
  OpenAiAnswer answer;
  answer.begin(request_of(Surface::kOpenAiChat, true), "a\"b", false);
  EXPECT_EQ(read_stream(answer, event_of(R"({"model":null})"), 1000).out, event_of(R"({"model":"a\"b"})"));
}

struct UsageCase {
  std::string frame;
  std::string out;
};

TEST(OpenAiAnswer, KeepsUsageFromACallerWhoDidNotAsk) {
  const std::string counts = R"({"prompt_tokens":1,"completion_tokens":2})";
  const std::vector<UsageCase> cases = {
      {R"({"choices":[],"usage":)" + counts + "}", ""},
      {R"({"choices":null,"usage":)" + counts + "}", ""},
      {R"({"usage":)" + counts + "}", ""},
      {R"({"choices":[],"usage":null})", R"({"choices":[]})"},
      {R"({"usage":null,"choices":[]})", R"({"choices":[]})"},
      {R"({"a":1,"usage":null,"choices":[]})", R"({"a":1,"choices":[]})"},
      {R"({ "a" : 1 , "usage" : null , "choices" : [] })", R"({ "a" : 1 , "choices" : [] })"},
      {R"({ "a" : 1 , "usage" : null })", R"({ "a" : 1 })"},
      {R"({ "usage" : null })", R"({  })"},
      {R"({"us\u0061ge":null,"a":1})", R"({"a":1})"},
      {R"({"model":"m","usage":null})", R"({"model":"shown"})"},
      {R"({"usage":null,"model":"m"})", R"({"model":"shown"})"},
      {R"({"choices":[{"usage":1}],"usage":)" + counts + R"(,"timings":{}})",
       R"({"choices":[{"usage":1}],"timings":{}})"},
      {R"({"choices":[],"usage":)" + counts + R"(,"error":{"message":"e"}})",
       R"({"choices":[],"usage":)" + counts + R"(,"error":{"message":"e"}})"},
  };
  for (const UsageCase& test : cases) {
    const Told told = told_of(request_of(Surface::kOpenAiChat, false), event_of(test.frame));
    EXPECT_EQ(told.out, test.out.empty() ? "" : event_of(test.out)) << test.frame;
    EXPECT_EQ(told.frames.at(0).ends_with("withheld"), test.out.empty()) << test.frame;
    EXPECT_EQ(told_of(request_of(Surface::kOpenAiChat, true), event_of(test.frame)).frames.at(0).find("withheld"),
              std::string::npos);
  }
}

// The law behind the table above: what is left is the object without its usage.
TEST(OpenAiAnswer, CutsUsageOutOfAnyObject) {
  json::RandomJson random(json::fresh_seed());
  OpenAiAnswer answer;
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::string> members;
    if (random.chance(80))
      members.push_back("\"usage\"" + random.space() + ":" + random.space() +
                        (random.chance(50) ? "null" : "{\"prompt_tokens\":1}"));
    members.push_back("\"choices\":" + random.space() + "[{\"delta\":{\"content\":" + random.string() + "}}]");
    if (random.chance(70)) members.push_back(random.spelled("model") + ":" + random.string());
    for (std::uint64_t n = random.below(3); n > 0; --n)
      members.push_back(random.spelled("x" + std::to_string(n)) + ":" + random.value(3));
    for (std::size_t k = members.size(); k > 1; --k) std::swap(members[k - 1], members[random.below(k)]);
    std::string text = "{" + random.space();
    for (std::size_t k = 0; k < members.size(); ++k)
      text += (k != 0 ? "," + random.space() : "") + members[k] + random.space();
    text += "}";
    Json expected = Json::parse(text);
    expected.erase("usage");
    if (expected.contains("model")) expected["model"] = "shown";

    const json::Padded padded(text);
    http::SseFrame frame{.raw = padded.view(),
                         .data = padded.view(),
                         .has_data = true,
                         .single_line = text.find('\n') == std::string::npos};
    answer.begin(request_of(Surface::kOpenAiChat, false), "shown", false);
    std::string out;
    ASSERT_TRUE(answer.read_frame(frame, out)) << text;
    const std::string_view left = frame.single_line ? std::string_view(out) : std::string_view(out).substr(6);
    ASSERT_EQ(Json::parse(left), expected) << text << "\n" << out;
  }
}

TEST(OpenAiAnswer, IsFinishedWhenEveryChoiceIs) {
  const auto finish = [](int index) {
    return R"({"index":)" + std::to_string(index) + R"(,"delta":{},"finish_reason":"stop"})";
  };
  EXPECT_EQ(told_of(request_of(Surface::kOpenAiChat, true, 3), chunk(finish(2)) + chunk(finish(2)) +
                                                                   chunk(finish(0) + "," + finish(7)) +
                                                                   chunk(finish(1)) + chunk(finish(1)))
                .frames,
            (std::vector<std::string>{"other", "other", "other", "finish", "other"}));
  EXPECT_EQ(told_of(request_of(Surface::kOpenAiChat, true, 2), chunk(finish(0) + "," + finish(1))).frames,
            std::vector<std::string>{"finish"});
}

TEST(OpenAiAnswer, RemembersUsageReasonTimingsAndErrors) {
  OpenAiAnswer answer;
  answer.begin(request_of(Surface::kOpenAiChat, false), "shown", false);
  read_stream(
      answer,
      chunk(R"({"index":1,"delta":{},"finish_reason":"stop"})") +
          chunk(R"({"index":0,"delta":{},"finish_reason":"l\u0065ngth"})") +
          chunk(
              "",
              R"(,"usage":{"prompt_tokens":11,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":3,"x":1},)"
              R"("completion_tokens_details":{"reasoning_tokens":4}},"timings":{"cache_n":3,"prompt_n":8,"prompt_ms":1.5,"predicted_n":9})") +
          event_of(R"({"error":{"code":500,"message":"broken \u00e9"}})"),
      1000);
  EXPECT_TRUE(answer.usage().reported);
  EXPECT_EQ(answer.usage().input_tokens, 11U);
  EXPECT_EQ(answer.usage().output_tokens, 12U);
  EXPECT_EQ(answer.usage().cached_input_tokens, 3U);
  EXPECT_EQ(answer.usage().reasoning_tokens, 4U);
  EXPECT_EQ(answer.finish_reason(), "length");
  EXPECT_EQ(answer.prefill_tokens(), 8U);
  EXPECT_EQ(answer.prefill_time(), 1500us);
  EXPECT_EQ(answer.error_message(), "broken \xC3\xA9");

  answer.begin(request_of(Surface::kOpenAiChat, false), "shown", false);
  EXPECT_FALSE(answer.usage().reported);
  EXPECT_EQ(answer.finish_reason(), "");
  EXPECT_EQ(answer.prefill_tokens(), 0U);
  EXPECT_EQ(answer.prefill_time(), 0ns);
  EXPECT_EQ(answer.error_message(), "");
  read_stream(
      answer,
      chunk(
          "",
          R"(,"usage":{"prompt_tokens":-5,"completion_tokens":"x","prompt_cache_hit_tokens":2},"timings":{"prompt_ms":1e300})"),
      1000);
  EXPECT_FALSE(answer.usage().reported);
  EXPECT_EQ(answer.usage().cached_input_tokens, 0U);
  EXPECT_EQ(answer.prefill_time(), 0ns);
  read_stream(answer, chunk("", R"(,"usage":{"prompt_tokens":5,"prompt_cache_hit_tokens":2})"), 1000);
  EXPECT_TRUE(answer.usage().reported);
  EXPECT_EQ(answer.usage().cached_input_tokens, 2U);
}

TEST(OpenAiAnswer, KeepsAKibibyteOfAnErrorAndTimingsUpToAThousandMillionMilliseconds) {
  OpenAiAnswer answer;
  answer.begin(request_of(Surface::kOpenAiChat, false), "shown", false);
  const std::string fits(1024, 'e');
  read_stream(answer, event_of(R"({"error":{"message":")" + fits + "\"}}"), 5000);
  EXPECT_EQ(answer.error_message(), fits);
  read_stream(answer, event_of(R"({"error":{"message":")" + fits + "f\"}}"), 5000);
  EXPECT_EQ(answer.error_message(), fits);
  const auto timings = [&](std::string_view values) {
    answer.begin(request_of(Surface::kOpenAiChat, false), "shown", false);
    read_stream(answer, chunk("", ",\"timings\":{" + std::string(values) + "}"), 1000);
    return std::pair(answer.prefill_tokens(), answer.prefill_time());
  };
  EXPECT_EQ(timings(R"("prompt_n":1000000000,"prompt_ms":1000000000)"),
            std::pair(1'000'000'000UL, Duration(1'000'000s)));
  EXPECT_EQ(timings(R"("prompt_n":1000000001,"prompt_ms":1000000001)"), std::pair(0UL, Duration{}));
}

struct WholeCase {
  std::string body;
  std::string facts;
};

TEST(OpenAiAnswer, ReadsWholeAnswersAndPassesThemOn) {
  const std::vector<WholeCase> cases = {
      {R"({"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}})",
       "text finish usage"},
      {R"({"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}],"model":"x"})",
       "tool finish"},
      {R"({"choices":[{"text":"a","finish_reason":"length"},{"text":"b","index":1,"finish_reason":"stop"}]})",
       "text finish"},
      {R"({"choices":[{"text":"a","finish_reason":"length"},{"text":"b","index":1,"finish_reason":null}]})", "text"},
      {R"({"choices":[],"usage":null})", "other"},
      {R"({"error":{"message":"m"}})", "error"},
      {R"({"choices":null,"error":"bad","model":"x"})", "error"},
      {R"({"choices":null})", "fault: the endpoint's answer has neither `choices` nor `error`"},
      {R"({"id":1})", "fault: the endpoint's answer has neither `choices` nor `error`"},
      {"", "fault: the endpoint's answer is not valid: no JSON object"},
      {"<html>", "fault: the endpoint's answer is not valid: no JSON object"},
      {R"({"choices":[]}{)", "fault: the endpoint's answer is not valid: bytes behind the JSON value at byte 14"},
  };
  OpenAiAnswer answer;
  for (const WholeCase& test : cases) {
    const json::Padded padded(test.body);
    answer.begin(request_of(Surface::kOpenAiChat, false), "shown", false);
    const auto read = answer.read_whole(padded.view());
    EXPECT_EQ(read ? words_of(*read) : "fault: " + read.error().message, test.facts) << test.body;
    if (!read) continue;
    Json expected = Json::parse(test.body);
    if (expected.contains("model")) expected["model"] = "shown";
    EXPECT_EQ(answer.whole().joined(), expected.dump()) << "only the model changes";
    EXPECT_EQ(answer.whole().size(), answer.whole().joined().size());
  }
}

// Folds a stream cut at every place and gives the answer as a tree.
Json folded(const inference::Request& request, std::string_view stream) {
  OpenAiAnswer answer;
  Json first;
  for (const std::size_t piece : {stream.size(), std::size_t{1}, std::size_t{5}}) {
    answer.begin(request, "shown", true);
    const Told told = read_stream(answer, stream, piece);
    EXPECT_EQ(told.out, "");
    const auto whole = answer.fold();
    EXPECT_TRUE(whole) << whole.error().message;
    const Json tree = Json::parse(whole.value_or("null"));
    if (first.is_null()) first = tree;
    EXPECT_EQ(tree, first);
  }
  return first;
}

// Recorded from llama-server v0.5.0's source (tools/server/server-task.cpp): the shape of its frames, in its order of
// members.
TEST(OpenAiAnswer, FoldsAnEngineStream) {
  const auto frame = [](std::string_view choices, std::string_view more = "") {
    return event_of(
        R"({"choices":[)" + std::string(choices) +
        R"(],"created":1759100000,"id":"chatcmpl-9","model":"engine.gguf","system_fingerprint":"b1","object":"chat.completion.chunk")" +
        std::string(more) + "}");
  };
  const std::string stream =
      frame(R"({"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}})") +
      frame(R"({"finish_reason":null,"index":0,"delta":{"content":"Hel"}})") +
      frame(R"({"finish_reason":null,"index":0,"delta":{"content":"lo \"\ud83d"}})") +
      frame(R"({"finish_reason":null,"index":0,"delta":{"content":"\ude00\"\n"}})") +
      frame(R"({"finish_reason":"stop","index":0,"delta":{}})") +
      frame(
          "",
          R"(,"usage":{"completion_tokens":3,"prompt_tokens":5,"total_tokens":8},"timings":{"prompt_n":5,"prompt_ms":2.0})") +
      event_of("[DONE]");
  const Json expected = Json::parse(
      R"({"id":"chatcmpl-9","object":"chat.completion","created":1759100000,"system_fingerprint":"b1","model":"shown","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"Hello \"\ud83d\ude00\"\n"},"logprobs":null,"finish_reason":"stop"}],)"
      R"("usage":{"completion_tokens":3,"prompt_tokens":5,"total_tokens":8},"timings":{"prompt_n":5,"prompt_ms":2.0}})");
  EXPECT_EQ(folded(request_of(Surface::kOpenAiChat, false), stream), expected);
}

TEST(OpenAiAnswer, FoldsToolCallsByTheirIndexAndJoinsTheirArguments) {
  const std::string stream =
      chunk(R"({"index":0,"delta":{"role":"assistant","content":null}})") +
      chunk(
          R"({"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}})") +
      chunk(
          R"({"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":\"\\u00"}}]}})") +
      chunk(
          R"({"index":0,"delta":{"tool_calls":[{"function":{"arguments":"e9\\\\"},"index":0},{"index":1,"function":{"arguments":"{}"}}]}})") +
      chunk(R"({"index":0,"delta":{"tool_calls":[{"index":0,"id":"","function":{"name":"","arguments":"\"}"}}]}})") +
      chunk(R"({"index":0,"delta":{},"finish_reason":"tool_calls"})");
  const Json message = folded(request_of(Surface::kOpenAiChat, false), stream)["choices"][0]["message"];
  EXPECT_EQ(message,
            Json::parse(R"({"role":"assistant","content":null,"tool_calls":[)"
                        R"({"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":\"\\u00e9\\\\\"}"}},)"
                        R"({"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]})"));
  EXPECT_EQ(Json::parse(message["tool_calls"][0]["function"]["arguments"].get<std::string>())["x"], "\xC3\xA9\\");
}

TEST(OpenAiAnswer, FoldsEveryChoiceWithAllItCarries) {
  const std::string stream =
      chunk(
          R"({"delta":{"content":"b"},"logprobs":{"content":[{"token":"b","logprob":-1.50}],"refusal":null},"index":1})",
          R"(,"service_tier":"x")") +
      chunk(R"({"index":0,"delta":{"reasoning_content":"h"}})") +
      chunk(R"({"index":0,"delta":{"reasoning_content":"m","refusal":"n"}})") +
      chunk(
          R"({"index":1,"delta":{"content":"c"},"logprobs":{"content":[{"token":"c","logprob":-0.25},{"token":"d","logprob":-0.5}]}})") +
      chunk(
          R"({"index":0,"delta":{"refusal":"o","annotations":[1]},"finish_reason":"content_filter","stop_reason":7})") +
      chunk(R"({"index":1,"delta":{"function_call":{"name":"f","arguments":"{"}}})") +
      chunk(R"({"index":1,"delta":{"function_call":{"arguments":"}"}},"finish_reason":"function_call"})",
            R"(,"service_tier":"y")");
  const Json answer = folded(request_of(Surface::kOpenAiChat, false, 2), stream);
  EXPECT_EQ(answer["service_tier"], "x");
  EXPECT_EQ(
      answer["choices"],
      Json::parse(
          R"([{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"hm","refusal":"no","annotations":[1]},)"
          R"("logprobs":null,"finish_reason":"content_filter","stop_reason":7},)"
          R"({"index":1,"message":{"role":"assistant","content":"bc","function_call":{"name":"f","arguments":"{}"}},)"
          R"("logprobs":{"content":[{"token":"b","logprob":-1.50},{"token":"c","logprob":-0.25},{"token":"d","logprob":-0.5}]},)"
          R"("finish_reason":"function_call"}])"));
}

TEST(OpenAiAnswer, FoldsCompletions) {
  const auto frame = [](std::string_view text, std::string_view more) {
    return event_of(R"({"choices":[{"text":")" + std::string(text) + R"(","index":0,)" + std::string(more) +
                    R"(}],"created":1,"model":"e","object":"text_completion","id":"cmpl-1"})");
  };
  const std::string stream =
      frame(
          "a",
          R"("logprobs":{"tokens":["a"],"token_logprobs":[-1],"text_offset":[0],"top_logprobs":[{"a":-1}]},"finish_reason":null)") +
      frame(
          "b",
          R"("logprobs":{"tokens":["b"],"token_logprobs":[-2],"text_offset":[1],"top_logprobs":[{"b":-2}]},"finish_reason":null)") +
      frame("", R"("logprobs":null,"finish_reason":"length")");
  EXPECT_EQ(
      folded(request_of(Surface::kOpenAiCompletions, false), stream),
      Json::parse(
          R"({"id":"cmpl-1","object":"text_completion","created":1,"model":"shown","choices":[{"index":0,"text":"ab",)"
          R"("logprobs":{"text_offset":[0,1],"token_logprobs":[-1,-2],"tokens":["a","b"],"top_logprobs":[{"a":-1},{"b":-2}]},)"
          R"("finish_reason":"length"}]})"));
}

// Seen of llama-server v0.5.0: each choice reports on its own, beside its timings; other servers' reports replace each
// other.
TEST(OpenAiAnswer, AddsUpTheReportsOfAnEnginesChoices) {
  const auto report = [](int input, int output) {
    return chunk(
        "",
        R"(,"usage":{"completion_tokens":)" + std::to_string(output) + R"(,"prompt_tokens":)" + std::to_string(input) +
            R"(,"prompt_tokens_details":{"cached_tokens":2}},"timings":{"prompt_n":1,"prompt_ms":1,"predicted_n":1})");
  };
  const std::string text = chunk(R"({"index":0,"delta":{"content":"a"},"finish_reason":"stop"})");
  const Json chat = folded(request_of(Surface::kOpenAiChat, false, 2), text + report(42, 24) + report(42, 20));
  EXPECT_EQ(
      chat["usage"],
      Json::parse(
          R"({"completion_tokens":44,"prompt_tokens":42,"total_tokens":86,"prompt_tokens_details":{"cached_tokens":2}})"));
  const Json prompts = folded(request_of(Surface::kOpenAiCompletions, false, 2), text + report(3, 4) + report(2, 4));
  EXPECT_EQ(
      prompts["usage"],
      Json::parse(
          R"({"completion_tokens":8,"prompt_tokens":5,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}})"));

  OpenAiAnswer answer;
  answer.begin(request_of(Surface::kOpenAiChat, false, 2), "shown", false);
  read_stream(answer,
              chunk("", R"(,"usage":{"prompt_tokens":9,"completion_tokens":1})") +
                  chunk("", R"(,"usage":{"prompt_tokens":9,"completion_tokens":2})"),
              1000);
  EXPECT_EQ(answer.usage().output_tokens, 2U);
  EXPECT_EQ(answer.usage().input_tokens, 9U);
}

TEST(OpenAiAnswer, FoldsAnEmptyAnswerToAnEmptyString) {
  const Json answer =
      folded(request_of(Surface::kOpenAiChat, false), chunk(R"({"index":0,"delta":{},"finish_reason":"stop"})"));
  EXPECT_EQ(answer["choices"][0]["message"], Json::parse(R"({"role":"assistant","content":""})"));
}

TEST(OpenAiAnswer, FoldsNothingOutOfAStreamWithoutChoices) {
  OpenAiAnswer answer;
  answer.begin(request_of(Surface::kOpenAiChat, false), "shown", true);
  read_stream(answer, event_of("[DONE]"), 100);
  const auto whole = answer.fold();
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, ErrorCode::kUpstreamFailed);
}

// The law of folding: whatever way a text is cut into frames, the folded answer is the whole text.
TEST(OpenAiAnswer, FoldsAnyCutOfATextToTheText) {
  json::RandomJson random(json::fresh_seed());
  for (int i = 0; i < 300; ++i) {
    std::string content;
    std::string arguments;
    std::string stream;
    for (std::uint64_t n = 1 + random.below(12); n > 0; --n) {
      const std::string piece = random.string();
      if (random.chance(50)) {
        stream += chunk(R"({"index":0,"delta":{"content":)" + piece + "}}");
        content += Json::parse(piece).get<std::string>();
      } else {
        stream += chunk(R"({"index":0,"delta":{"tool_calls":[{"index":4,"function":{"arguments":)" + piece + "}}]}}");
        arguments += Json::parse(piece).get<std::string>();
      }
    }
    stream += chunk(R"({"index":0,"delta":{},"finish_reason":"stop"})");
    const Json message = folded(request_of(Surface::kOpenAiChat, false), stream)["choices"][0]["message"];
    if (message["content"].is_string()) {
      EXPECT_EQ(message["content"], content);
    } else {
      EXPECT_EQ(content, "");
    }
    if (message.contains("tool_calls")) {
      EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], arguments);
    } else {
      EXPECT_EQ(arguments, "");
    }
  }
}

}  // namespace
}  // namespace thalweg::dialect
