// Requests and answers on their way between Anthropic's dialect and chat completions.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "carry/dialect/messages_answer.h"
#include "carry/dialect/messages_errors.h"
#include "carry/dialect/messages_request.h"
#include "carry/dialect/openai.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;
using json::Padded;

Json translated(const std::string& body) {
  static MessagesRequest request;
  const Padded padded(body);
  const auto done = request.translate(padded.view());
  EXPECT_TRUE(done) << (done ? "" : done.error().message);
  return done ? Json::parse(request.chat()) : Json();
}

// What is wrong, or what a chat completion cannot say.
std::string fault(const std::string& body) {
  static MessagesRequest request;
  const Padded padded(body);
  const auto done = request.translate(padded.view());
  if (!done) return std::string(request.fault_parameter()) + " | " + done.error().message;
  if (request.not_carried().empty()) return "none";
  return std::string(request.not_carried_parameter()) + " | " + std::string(request.not_carried());
}

std::string with_messages(const std::string& messages) {
  return R"({"model":"m","max_tokens":1,"messages":)" + messages + "}";
}

TEST(MessagesRequest, CopiesTextsAsTheyAreWritten) {
  MessagesRequest request;
  const Padded body(std::string_view(
      R"({"messages":[{"content":"a\u00e9\ud83d\udca7\/","role":"user"}],"max_tokens":1e2,"model":"m\u0041"})"));
  ASSERT_TRUE(request.translate(body.view()));
  EXPECT_EQ(request.chat(),
            R"({"model":"m\u0041","messages":[{"role":"user","content":"a\u00e9\ud83d\udca7\/"}],"max_tokens":1e2})");
}

TEST(MessagesRequest, WritesAToolsInputAsItsText) {
  const Json chat = translated(with_messages(
      R"([{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"a": "x\"\\\n\u00e9", "b":[1, 2]}}]}])"));
  const Json& call = chat["messages"][0]["tool_calls"][0];
  EXPECT_EQ(call["function"]["arguments"], R"({"a": "x\"\\\n\u00e9", "b":[1, 2]})");
  EXPECT_TRUE(chat["messages"][0]["content"].is_null());
}

TEST(MessagesRequest, PutsToolResultsBeforeTheRestAndTheirImagesIntoIt) {
  const Json chat = translated(with_messages(
      R"([{"role":"user","content":[{"type":"text","text":"see"},{"type":"tool_result","tool_use_id":"t1","content":[
         {"type":"text","text":"one"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QQ=="}}]},
         {"type":"tool_result","tool_use_id":"t2"}]}])"));
  ASSERT_EQ(chat["messages"].size(), 3U);
  EXPECT_EQ(chat["messages"][0], Json::parse(R"({"role":"tool","tool_call_id":"t1","content":"one"})"));
  EXPECT_EQ(chat["messages"][1], Json::parse(R"({"role":"tool","tool_call_id":"t2","content":""})"));
  EXPECT_EQ(chat["messages"][2]["content"][1]["image_url"]["url"], "data:image/png;base64,QQ==");
}

TEST(MessagesRequest, NamesWhatIsWrong) {
  EXPECT_EQ(fault(R"({"model":"m","messages":[{"role":"user","content":"x"}]})"),
            "max_tokens | max_tokens: Field required");
  EXPECT_EQ(fault(R"({"model":"m","max_tokens":1})"), "messages | messages: Field required");
  EXPECT_EQ(fault(with_messages("[]")), "messages | messages: at least one message is required");
  EXPECT_EQ(fault(with_messages(R"([{"role":"tool","content":"x"}])")),
            "messages.0.role | messages.0.role: expected user, assistant or system");
  EXPECT_TRUE(
      fault(with_messages(R"([{"role":"user","content":[]}])")).ends_with("at least one content block is required"));
  EXPECT_TRUE(fault(with_messages(R"([{"role":"user","content":[{"type":"document","context":"c","source":{}}]}])"))
                  .starts_with("messages.0.content.0.context | "));
  EXPECT_TRUE(fault(with_messages(R"([{"role":"user"}])")).starts_with("messages.0.content | "));
  EXPECT_TRUE(
      fault(with_messages(R"([{"role":"user","content":[{"type":"video"}]}])")).starts_with("messages.0.content.0 | "));
  EXPECT_TRUE(fault(with_messages(R"([{"role":"user","content":"x","name":"n"}])")).starts_with("messages.0.name | "));
  EXPECT_NE(fault(R"({"model":"m","max_tokens":1,"max_tokens":2,"messages":[]})").find("is not valid JSON"),
            std::string::npos);
  EXPECT_NE(fault("[1]").find("must be a JSON object"), std::string::npos);
  EXPECT_NE(fault("").find("empty"), std::string::npos);
}

TEST(MessagesRequest, NamesAFileByItsTitle) {
  const auto name_of = [](const std::string& title) {
    const Json chat =
        translated(with_messages(R"([{"role":"user","content":[{"type":"document",)" + title +
                                 R"("source":{"type":"base64","media_type":"application/pdf","data":"QQ=="}}]}])"));
    return chat["messages"][0]["content"][0]["file"]["filename"].get<std::string>();
  };
  EXPECT_EQ(name_of(R"("title":"a \"report\"",)"), "a \"report\"");
  EXPECT_EQ(name_of(""), "document.pdf");
}

TEST(MessagesRequest, NamesEachDroppedHintOnce) {
  MessagesRequest request;
  const Padded body(std::string_view(
      R"({"model":"m","max_tokens":1,"top_k":1,"cache_control":{},"thinking":{"type":"adaptive"},"messages":[
      {"role":"user","content":[{"type":"text","text":"a","cache_control":{}},{"type":"text","text":"b","cache_control":{}}]},
      {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":""},{"type":"text","text":"c"}]}]})"));
  ASSERT_TRUE(request.translate(body.view()));
  EXPECT_EQ(request.dropped(), "top_k, cache_control, thinking");
}

// ---- Answers ----

struct Streamed {
  std::vector<Json> events;
  std::string fault;
};

Streamed stream(const std::vector<std::string>& chunks, const inference::Usage& usage = {}) {
  MessagesAnswer answer;
  answer.begin("0123", "shown");
  std::string out;
  Streamed read;
  for (const std::string& chunk : chunks) {
    const Padded padded(chunk);
    if (const auto added = answer.add_chunk(padded.view(), out); !added) {
      read.fault = added.error().message;
      return read;
    }
  }
  answer.finish(usage, out);
  for (std::size_t at = 0; at < out.size();) {
    const std::size_t end = out.find("\n\n", at);
    const std::string frame = out.substr(at, end - at);
    const std::size_t data = frame.find("\ndata: ");
    Json event = Json::parse(frame.substr(data + 7));
    EXPECT_EQ("event: " + event["type"].get<std::string>(), frame.substr(0, data));
    read.events.push_back(std::move(event));
    at = end + 2;
  }
  return read;
}

std::string delta(const std::string& members, const std::string& finish = "null") {
  return R"({"choices":[{"index":0,"delta":{)" + members + R"(},"finish_reason":)" + finish + "}]}";
}

TEST(MessagesAnswer, OpensAndClosesItsBlocksOneAfterTheOther) {
  const Streamed read =
      stream({delta(R"("role":"assistant","content":"")"), delta(R"("reasoning_content":"hm")"),
              delta(R"("content":"a\\")"), delta(R"("content":"\ud83d\udca7")"),
              delta(R"("tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":""}}])"),
              delta(R"("tool_calls":[{"index":0,"function":{"arguments":"{\"x\":\"\\u00"}}])"),
              delta(R"("tool_calls":[{"index":0,"function":{"arguments":"e9\"}"}}])"),
              delta(R"("tool_calls":[{"index":1,"id":"c2","function":{"name":"g","arguments":"{}"}}])"),
              delta("", R"("tool_calls")")},
             {.reported = true, .input_tokens = 10, .output_tokens = 4, .cached_input_tokens = 3});
  std::vector<std::string> kinds;
  std::uint64_t open = 0;
  std::string arguments;
  for (const Json& event : read.events) {
    kinds.push_back(event["type"]);
    if (kinds.back() == "content_block_start") {
      EXPECT_EQ(event["index"], open);
    }
    if (kinds.back() == "content_block_stop") {
      EXPECT_EQ(event["index"], open++);
    }
    if (kinds.back() == "content_block_delta" && event["index"] == 2) arguments += event["delta"]["partial_json"];
  }
  EXPECT_EQ(kinds,
            (std::vector<std::string>{
                "message_start", "content_block_start", "content_block_delta", "content_block_stop",
                "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
                "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
                "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}));
  EXPECT_EQ(Json::parse(arguments)["x"], "\u00e9");
  const Json& last = read.events[read.events.size() - 2];
  EXPECT_EQ(last["delta"]["stop_reason"], "tool_use");
  EXPECT_EQ(last["usage"], Json::parse(R"({"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":4})"));
}

TEST(MessagesAnswer, RefusesAPieceForACallThatHasEnded) {
  const std::string first = delta(R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}])");
  const std::string second = delta(R"("tool_calls":[{"index":1,"id":"b","function":{"name":"f","arguments":"{}"}}])");
  const std::string late = delta(R"("tool_calls":[{"index":0,"function":{"arguments":"}"}}])");
  EXPECT_NE(stream({first, second, late}).fault.find("has ended"), std::string::npos);
  EXPECT_NE(stream({first, delta(R"("content":"x")"), late}).fault.find("has ended"), std::string::npos);
  EXPECT_NE(stream({delta(R"("tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}])")})
                .fault.find("without a name"),
            std::string::npos);
}

TEST(MessagesAnswer, TakesCallsOfOneIndexApartByTheirIds) {
  const Streamed read =
      stream({delta(R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}])"),
              delta(R"("tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}])")});
  EXPECT_EQ(std::ranges::count_if(read.events, [](const Json& e) { return e["type"] == "content_block_start"; }), 2);
}

Result<Json> whole(const std::string& chat) {
  MessagesAnswer answer;
  answer.begin("0123", "sh\"own");
  std::string out;
  const Padded padded(chat);
  if (auto written = answer.write_whole(padded.view(), {}, out); !written) return std::unexpected(written.error());
  return Json::parse(out);
}

TEST(MessagesAnswer, WritesAWholeMessageInItsOwnOrder) {
  const auto message = whole(
      R"({"choices":[{"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":" {\"a\": \"\\u00e9\"} "}},
      {"id":"d","function":{"name":"g","arguments":""}}],"content":"t\n","reasoning":"why"}}]})");
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ((*message)["content"],
            Json::parse(R"([{"type":"thinking","thinking":"why","signature":""},{"type":"text","text":"t\n"},
      {"type":"tool_use","id":"c","name":"f","input":{"a":"é"}},{"type":"tool_use","id":"d","name":"g","input":{}}])"));
  EXPECT_EQ((*message)["model"], "sh\"own");
  EXPECT_EQ((*message)["id"], "msg_0123");
  EXPECT_EQ((*message)["stop_reason"], "tool_use");
}

TEST(MessagesAnswer, RefusesArgumentsThatAreNoObject) {
  for (const char* arguments : {"[]", "1", "{", "{} {}", R"({\"a\":})", "null"}) {
    const auto message =
        whole(std::string(R"({"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":")") +
              arguments + R"("}}]}}]})");
    EXPECT_FALSE(message) << arguments;
  }
}

TEST(MessagesAnswer, NamesTheStopReason) {
  const auto stop = [](const std::string& finish) {
    return whole(R"({"choices":[{"message":{"content":"x"},"finish_reason":")" + finish + R"("}]})")
        .value()["stop_reason"]
        .get<std::string>();
  };
  EXPECT_EQ(stop("stop"), "end_turn");
  EXPECT_EQ(stop("length"), "max_tokens");
  EXPECT_EQ(stop("function_call"), "tool_use");
  EXPECT_EQ(stop("content_filter"), "refusal");
  EXPECT_EQ(stop("something new"), "end_turn");
}

TEST(MessagesErrors, HaveTheTypeOfTheirStatus) {
  for (const auto& [status, type] : {std::pair{400, "invalid_request_error"},
                                     {401, "authentication_error"},
                                     {403, "permission_error"},
                                     {404, "not_found_error"},
                                     {413, "request_too_large"},
                                     {422, "invalid_request_error"},
                                     {429, "rate_limit_error"},
                                     {500, "api_error"},
                                     {503, "overloaded_error"},
                                     {504, "timeout_error"},
                                     {529, "overloaded_error"}}) {
    const Json body = Json::parse(messages_error_body(static_cast<std::uint16_t>(status), "a \"word\"", "req_1"));
    EXPECT_EQ(body["error"]["type"], type) << status;
    EXPECT_EQ(body["error"]["message"], "a \"word\"");
    EXPECT_EQ(body["request_id"], "req_1");
  }
  const Json passed = Json::parse(messages_refusal_body(429, R"({"error":{"message":"slow down"}})", {}));
  EXPECT_EQ(passed, Json::parse(R"({"type":"error","error":{"type":"rate_limit_error","message":"slow down"}})"));
}

}  // namespace
}  // namespace thalweg::dialect
