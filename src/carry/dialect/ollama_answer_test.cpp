// Answers of Ollama's API, written from chat completions, completions and embeddings; its errors and lists of models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "carry/dialect/caller_answer.h"
#include "carry/dialect/caller_errors.h"
#include "carry/dialect/ollama_models.h"
#include "carry/dialect/openai.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;
using fleet::EndpointKind;
using inference::Surface;
using json::Padded;

const AnswerTimes kTimes{.now = UtcTime(1'700'000'000s + 250ms),  // 2023-11-14T22:13:20.250Z
                         .total = 9s,
                         .load = 0s,
                         .prompt = 2s,
                         .generation = 7s};

Result<std::string> whole(std::string_view answer, Surface surface = Surface::kOllamaChat) {
  OpenAiAnswer chat;
  inference::Request asked;
  asked.surface = surface == Surface::kOllamaEmbed || surface == Surface::kOllamaEmbeddings ? Surface::kOpenAiEmbeddings
                                                                                            : Surface::kOpenAiChat;
  chat.begin(asked, "m", false);
  const Padded body(answer);
  if (auto read = chat.read_whole(body.view()); !read) return std::unexpected(read.error());
  OllamaAnswer ollama;
  ollama.begin(surface, "sh\"own");
  ollama.tell(kTimes);
  std::string out;
  if (auto written = ollama.write_whole(body.view(), chat.usage(), out); !written)
    return std::unexpected(written.error());
  return out;
}

// All that a caller gets for the bytes of a stream, read in pieces that end at `cuts`.
std::string stream(std::string_view bytes, const std::vector<std::size_t>& cuts,
                   Surface surface = Surface::kOllamaChat) {
  CallerAnswer answer;
  inference::Request asked;
  asked.surface = surface == Surface::kOllamaRaw ? Surface::kOpenAiCompletions : Surface::kOpenAiChat;
  asked.delivery = inference::Delivery::kStream;
  asked.wants_usage_frame = true;
  answer.begin(surface, EndpointKind::kOpenAi, asked, "m", "0123", 1, {}, nullptr);
  EXPECT_TRUE(answer.tells_times());
  http::SseReader reader(1 << 20);
  std::string out;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t end = i == cuts.size() ? bytes.size() : cuts[i];
    const Padded piece(bytes.substr(begin, end - begin));
    begin = end;
    reader.feed(piece.view());
    http::SseFrame frame;
    while (reader.next(frame).value()) {
      answer.tell(kTimes);
      std::string text;
      const auto read = answer.read_frame(frame, text);
      if (!read) return out + "!" + read.error().message;
      if (!read->withheld) out += text;
    }
  }
  return out;
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    EXPECT_NE(end, std::string::npos);
    lines.push_back(Json::parse(text.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

std::string chunk(const std::string& choice) {
  return "data: {\"choices\":[{\"index\":0," + choice + "}]}\n\n";
}
std::string delta(const std::string& members, const std::string& more = R"("finish_reason":null)") {
  return chunk(R"("delta":{)" + members + "}," + more);
}
std::string call_piece(int index, const std::string& members, const std::string& arguments) {
  return delta(R"("tool_calls":[{"index":)" + std::to_string(index) + members + R"(,"function":{)" +
               (members.empty() ? "" : R"("name":"f",)") + R"("arguments":")" + arguments + R"("}}])");
}
const std::string kUsage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4}}\n\n";
const std::string kDone = "data: [DONE]\n\n";
const std::string kStopped = delta("", R"("finish_reason":"stop")");

TEST(OllamaAnswer, WritesALineForEachPiece) {
  const std::string said =
      stream(delta(R"("role":"assistant","content":"")") + ": keep-alive\n\n" + delta(R"("reasoning_content":"h\"m")") +
                 delta(R"("content":"a\\")") + delta(R"("content":"\u00e9")") + kStopped + kUsage + kDone,
             {});
  EXPECT_EQ(
      said,
      R"({"model":"m","created_at":"2023-11-14T22:13:20.250Z","message":{"role":"assistant","content":"","thinking":"h\"m"},"done":false})"
      "\n"
      R"({"model":"m","created_at":"2023-11-14T22:13:20.250Z","message":{"role":"assistant","content":"a\\"},"done":false})"
      "\n"
      R"({"model":"m","created_at":"2023-11-14T22:13:20.250Z","message":{"role":"assistant","content":"\u00e9"},"done":false})"
      "\n"
      R"({"model":"m","created_at":"2023-11-14T22:13:20.250Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":9000000000,"load_duration":0,"prompt_eval_count":10,"prompt_eval_duration":2000000000,"eval_count":4,"eval_duration":7000000000})"
      "\n");
}

TEST(OllamaAnswer, WritesPromptsLikewise) {
  const auto chat =
      lines_of(stream(delta(R"("content":"a","reasoning":"r")") + kStopped + kDone, {}, Surface::kOllamaGenerate));
  EXPECT_EQ(chat[0]["response"], "a");
  EXPECT_EQ(chat[0]["thinking"], "r");
  EXPECT_FALSE(chat[0].contains("message"));
  EXPECT_FALSE(chat[1].contains("eval_count")) << "what was not told is left out";
  EXPECT_FALSE(chat[1].contains("context"));
  const auto raw = lines_of(stream(
      chunk(R"("text":"a","finish_reason":null)") + chunk(R"("text":"b","finish_reason":"length")") + kUsage + kDone,
      {}, Surface::kOllamaRaw));
  ASSERT_EQ(raw.size(), 3U);
  EXPECT_EQ(raw[1]["response"], "b");
  EXPECT_EQ(raw[2]["done_reason"], "length");
}

// However the network cuts the stream.
TEST(OllamaAnswer, SaysTheSameWhereverTheStreamIsCut) {
  const std::string bytes = delta(R"("content":"Z\u00fcrich \ud83d")") + delta(R"("content":"\udca7 東京")") +
                            call_piece(0, R"(,"id":"c0")", "") + call_piece(0, "", R"({\"x\":\"\\ud83d)") +
                            call_piece(0, "", R"(\\udca7 \u00e9東\"})") + call_piece(1, R"(,"id":"c1")", "{}") +
                            delta("", R"("finish_reason":"tool_calls")") + kUsage + kDone;
  const std::string said = stream(bytes, {});
  const auto lines = lines_of(said);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0]["message"]["content"], "Zürich ");
  EXPECT_EQ(lines[1]["message"]["content"], "\U0001F4A7 東京") << "half a character waits for the other half";
  EXPECT_EQ(lines[2]["message"]["tool_calls"],
            Json::parse(R"([{"id":"c0","function":{"index":0,"name":"f","arguments":{"x":"💧 é東"}}}])"));
  EXPECT_EQ(lines[3]["message"]["tool_calls"][0]["function"]["index"], 1);
  EXPECT_EQ(lines[4]["done_reason"], "stop");
  for (std::size_t first = 1; first < bytes.size(); ++first) EXPECT_EQ(stream(bytes, {first}), said) << first;
  for (std::size_t first = 1; first + 7 < bytes.size(); first += 5)
    EXPECT_EQ(stream(bytes, {first, first + 1, first + 7}), said) << first;
}

// However the endpoint cuts the text of the arguments into fragments, within escapes too.
TEST(OllamaAnswer, SaysTheSameWhereverTheArgumentsAreCut) {
  const std::string arguments = R"({\"place\": \"Z\u00fcrich \\\"HB\\\" \\u6771 \ud83d\udca7 東\",\n \"n\": [1, 2]})";
  const auto said = [&](const std::vector<std::string>& pieces) {
    std::string bytes = call_piece(0, R"(,"id":"c")", "");
    for (const std::string& piece : pieces) bytes += call_piece(0, "", piece);
    return stream(bytes + delta("", R"("finish_reason":"tool_calls")") + kDone, {});
  };
  const std::string once = said({arguments});
  EXPECT_EQ(lines_of(once)[0]["message"]["tool_calls"][0]["function"]["arguments"],
            Json::parse("{\"place\":\"Zürich \\\"HB\\\" 東 \U0001F4A7 東\",\"n\":[1,2]}"));
  // An escape of JSON itself and a character of UTF-8 stay whole in a string; what they spell does not.
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i < arguments.size();) {
    if (arguments[i] == '\\') {
      i += arguments[i + 1] == 'u' ? 6 : 2;
    } else {
      do ++i;
      while (i < arguments.size() && (static_cast<unsigned char>(arguments[i]) & 0xC0U) == 0x80U);
    }
    cuts.push_back(i);
  }
  std::vector<std::string> smallest;
  std::size_t begin = 0;
  for (const std::size_t cut : cuts) {
    EXPECT_EQ(said({arguments.substr(0, cut), arguments.substr(cut)}), once) << cut;
    smallest.push_back(arguments.substr(begin, cut - begin));
    begin = cut;
  }
  EXPECT_EQ(said(smallest), once);
}

TEST(OllamaAnswer, TellsParallelCallsApart) {
  // By index, and by id where a server gives every call the same index; without any id, too.
  const auto names = [](const std::string& bytes) {
    std::vector<std::string> said;
    std::string whole = bytes;
    whole += delta("", R"("finish_reason":"tool_calls")");
    whole += kDone;
    for (const Json& line : lines_of(stream(whole, {}))) {
      if (!line["message"].contains("tool_calls")) continue;
      for (const Json& call : line["message"]["tool_calls"])
        said.push_back(fmt::format("{}{}{}", call["function"]["index"].dump(), call.value("id", "-"),
                                   call["function"]["arguments"].dump()));
    }
    return said;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(call_piece(0, R"(,"id":"a")", "{}") + call_piece(1, R"(,"id":"b")", R"({\"x\":1})")),
            (Names{"0a{}", "1b{\"x\":1}"}));
  EXPECT_EQ(names(call_piece(0, R"(,"id":"a")", "{}") + call_piece(0, R"(,"id":"b")", "")), (Names{"0a{}", "1b{}"}));
  EXPECT_EQ(names(call_piece(0, R"(,"id":"")", "{}") + call_piece(1, R"(,"id":"")", "{}")), (Names{"0-{}", "1-{}"}));
}

TEST(OllamaAnswer, RefusesWhatIsNoCall) {
  static const std::vector<std::string> kBad = {
      call_piece(0, R"(,"id":"a")", "[1]") + kStopped,
      call_piece(0, R"(,"id":"a")", R"({\"x\":)") + kStopped,
      call_piece(0, R"(,"id":"a")", "{} x") + kStopped,
      call_piece(0, R"(,"id":"a")", "{}") + delta(R"("content":"x")") + call_piece(0, "", "{}"),
      call_piece(0, R"(,"id":"a")", "{}") + call_piece(1, R"(,"id":"b")", "{}") + call_piece(0, "", "x"),
      call_piece(0, "", "{}"),
      delta(R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{}}}])"),
  };
  for (const std::string& bytes : kBad) EXPECT_NE(stream(bytes + kDone, {}).find('!'), std::string::npos) << bytes;
}

TEST(OllamaAnswer, LeavesOutACallThatTheLimitCut) {
  const auto lines = lines_of(stream(delta(R"("content":"x")") + call_piece(0, R"(,"id":"a")", R"({\"x\":)") +
                                         delta("", R"("finish_reason":"length")") + kDone,
                                     {}));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["done_reason"], "length");
  const auto one = whole(
      R"({"choices":[{"message":{"content":"x","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]},"finish_reason":"length"}]})");
  ASSERT_TRUE(one);
  EXPECT_FALSE(Json::parse(*one)["message"].contains("tool_calls"));
}

TEST(OllamaAnswer, SaysTheSameWholeAndStreamed) {
  const auto one = whole(
      "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\\u00e9\",\"reasoning_content\":"
      "\"r\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
      "\\\"x\\\":"
      "\\n1}\"}}]},\"logprobs\":{\"content\":[{\"token\":\"a\",\n\"logprob\":-1}]},\"finish_reason\":\"tool_calls\"}],"
      "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4}}");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->find('\n'), std::string::npos);
  EXPECT_EQ(
      Json::parse(*one),
      Json::parse(
          R"({"model":"sh\"own","created_at":"2023-11-14T22:13:20.250Z","message":{"role":"assistant","content":"aé","thinking":"r",
          "tool_calls":[{"id":"c","function":{"index":0,"name":"f","arguments":{"x":1}}}]},"logprobs":[{"token":"a","logprob":-1}],
          "done":true,"done_reason":"stop","total_duration":9000000000,"load_duration":0,"prompt_eval_count":10,
          "prompt_eval_duration":2000000000,"eval_count":4,"eval_duration":7000000000})"));
  const auto lines = lines_of(stream(
      delta(R"("content":"a")", R"("logprobs":{"content":[{"token":"a"}, {"token":"b"}]},"finish_reason":null)") +
          delta(R"("content":"")", R"("logprobs":{"content":[{"token":"\u0000"}]},"finish_reason":null)") + kStopped +
          kDone,
      {}));
  EXPECT_EQ(lines[0]["logprobs"].size(), 2U);
  EXPECT_EQ(lines[1]["logprobs"][0]["token"], std::string(1, '\0')) << "of a token that shows no text";
}

TEST(OllamaAnswer, WritesVectorsInTheOrderOfTheirInputs) {
  const std::string_view two =
      R"({"data":[{"index":1,"embedding":[0.25, -1e-3]},{"embedding":[1],"index":0}],"usage":{"prompt_tokens":5}})";
  EXPECT_EQ(*whole(two, Surface::kOllamaEmbed),
            R"({"model":"sh\"own","embeddings":[[1],[0.25, -1e-3]],"total_duration":9000000000,"load_duration":0,)"
            R"("prompt_eval_count":5})");
  EXPECT_EQ(*whole(R"({"data":[{"embedding":[1,2]}]})", Surface::kOllamaEmbeddings), R"({"embedding":[1,2]})");
  for (const char* bad :
       {R"({"data":[{"index":1,"embedding":[1]}]})", R"({"data":[{"index":-1,"embedding":[1]}]})", R"({"data":[7]})",
        R"({"data":[{"embedding":"AACAPw=="}]})", R"({"data":[{"index":99999999,"embedding":[1]}]})"}) {
    EXPECT_FALSE(whole(bad, Surface::kOllamaEmbed)) << bad;
  }
}

TEST(OllamaAnswer, AnswersWhatOnlyLoads) {
  const AnswerTimes times{.now = kTimes.now, .total = 1ms, .load = {}, .prompt = {}, .generation = {}};
  EXPECT_EQ(
      ollama_loaded_body(Surface::kOllamaChat, "m", OllamaRequest::Load::kLoad, times),
      R"({"model":"m","created_at":"2023-11-14T22:13:20.250Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"})");
  EXPECT_EQ(
      ollama_loaded_body(Surface::kOllamaGenerate, "m", OllamaRequest::Load::kUnload, times),
      R"({"model":"m","created_at":"2023-11-14T22:13:20.250Z","response":"","done":true,"done_reason":"unload"})");
  EXPECT_EQ(ollama_loaded_body(Surface::kOllamaEmbed, "m", OllamaRequest::Load::kLoad, times),
            R"({"model":"m","embeddings":[],"total_duration":1000000})");
  EXPECT_EQ(ollama_loaded_body(Surface::kOllamaEmbeddings, "m", OllamaRequest::Load::kLoad, times),
            R"({"embedding":[]})");
}

// ---- Errors and models ----

TEST(OllamaErrors, AreASentence) {
  const Error error{ErrorCode::kModelNotFound, "no \"x\"", {}};
  EXPECT_EQ(error_body(Surface::kOllamaChat, error, "model", "req_1"), R"({"error":"no \"x\""})");
  EXPECT_EQ(error_frame(Surface::kOllamaEmbed, error, "req_1"), "{\"error\":\"no \\\"x\\\"\"}\n");
  const auto refusal = [](EndpointKind kind, std::string_view body) {
    return refusal_body(
        Surface::kOllamaChat,
        {.endpoint_kind = kind, .endpoint_name = "e", .status = 400, .body = body, .kind = RefusalKind::kCaller}, 400,
        "req_1");
  };
  EXPECT_EQ(refusal(EndpointKind::kOpenAi, R"({"error":{"message":"bad","type":"t"}})"), R"({"error":"bad"})");
  EXPECT_EQ(refusal(EndpointKind::kAnthropic, R"({"type":"error","error":{"type":"t","message":"bad"}})"),
            R"({"error":"bad"})");
  EXPECT_EQ(refusal(EndpointKind::kOpenAi, "plain"), R"({"error":"plain"})");
}

TEST(OllamaModels, SayWhatIsKnownAndNothingElse) {
  OllamaModel unknown{.name = "a\"b", .digest = {}, .file_bytes = {}, .modified_at = {}, .capabilities = {}};
  const Json bare = Json::parse(ollama_tags_body({&unknown, 1}))["models"][0];
  EXPECT_EQ(bare["name"], "a\"b");
  EXPECT_EQ(bare["model"], "a\"b");
  EXPECT_EQ(bare["digest"], std::string(64, '0'));
  EXPECT_EQ(bare["details"]["format"], "");
  EXPECT_FALSE(bare.contains("size") || bare.contains("modified_at"));
  EXPECT_EQ(Json::parse(ollama_show_body(unknown))["model_info"], Json::object());
  EXPECT_EQ(Json::parse(ollama_show_body(unknown))["capabilities"], Json::array());

  OllamaModel known = unknown;
  known.file_bytes = 7;
  known.modified_at = kTimes.now;
  known.context_tokens = 4096;
  known.capabilities = {inference::Capability::kChat, inference::Capability::kImages, inference::Capability::kLogprobs};
  const std::vector<OllamaModel> both = {unknown, known};
  const Json tags = Json::parse(ollama_tags_body(both))["models"];
  EXPECT_EQ(tags.size(), 2U);
  EXPECT_EQ(tags[1]["size"], 7);
  EXPECT_EQ(tags[1]["modified_at"], "2023-11-14T22:13:20.250Z");
  EXPECT_EQ(tags[1]["details"]["format"], "gguf");
  const Json shown = Json::parse(ollama_show_body(known));
  EXPECT_EQ(shown["capabilities"], Json::parse(R"(["completion","vision"])"));
  EXPECT_EQ(shown["model_info"]["unknown.context_length"], 4096);
  EXPECT_FALSE(Json::parse(ollama_ps_body({&known, 1}))["models"][0].contains("expires_at"));
  known.stays = true;
  const Json loaded = Json::parse(ollama_ps_body({&known, 1}))["models"][0];
  EXPECT_EQ(loaded["expires_at"], "2262-04-11T23:47:16.854Z");  // 2^63 - 1 nanoseconds after 1970
  EXPECT_EQ(loaded["context_length"], 4096);
  EXPECT_EQ(ollama_ps_body({}), R"({"models":[]})");
}

TEST(OllamaModels, ReadsWhichOneIsAsked) {
  EXPECT_EQ(read_ollama_show(R"({"model":"m","verbose":true})").value(), "m");
  EXPECT_EQ(read_ollama_show(R"({"name":"m"})").value(), "m");
  EXPECT_EQ(read_ollama_show(R"({"model":"","name":"m"})").value(), "m");
  for (const char* bad : {"", "[]", "{}", R"({"model":7})", R"({"model":""})", R"({"model":"m")"})
    EXPECT_EQ(read_ollama_show(bad).error().code, ErrorCode::kInvalidRequest) << bad;
}

TEST(OllamaModels, MeansTheNameWithoutTheTagWhereThereIsNoOther) {
  fleet::Fleet fleet;
  fleet.models = {{.name = "a", .targets = {}}, {.name = "b:latest", .targets = {}}, {.name = "b", .targets = {}}};
  fleet::seal(fleet);
  EXPECT_EQ(meant_model(fleet, "a"), "a");
  EXPECT_EQ(meant_model(fleet, "a:latest"), "a");
  EXPECT_EQ(meant_model(fleet, "b:latest"), "b:latest");
  EXPECT_EQ(meant_model(fleet, "auto:latest"), "auto");
  EXPECT_EQ(meant_model(fleet, "a:7b"), "a:7b");
}

}  // namespace
}  // namespace thalweg::dialect
