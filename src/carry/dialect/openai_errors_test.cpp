#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "carry/dialect/openai.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;

struct RefusalCase {
  std::uint16_t status;
  std::string body;
  RefusalKind kind;
};

TEST(OpenAiErrors, TakesRefusalsForWhatTheyAre) {
  const std::vector<RefusalCase> cases = {
      // OpenAI, llama.cpp v0.5.0, vLLM, SGLang, TGI, Azure, OpenRouter, as they word it.
      {400,
       R"({"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})",
       RefusalKind::kContext},
      {400,
       R"({"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}})",
       RefusalKind::kContext},
      {400,
       R"({"object":"error","message":"This model's maximum context length is 2048 tokens. However, you requested 3000 tokens.","type":"BadRequestError","param":null,"code":400})",
       RefusalKind::kContext},
      {400,
       R"({"error":{"message":"The decoder prompt (length 9000) is longer than the maximum model length of 4096.","type":"BadRequestError","code":400}})",
       RefusalKind::kContext},
      {422,
       R"({"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048.","error_type":"validation"})",
       RefusalKind::kContext},
      {500, R"({"error":{"message":"the request exceeds the available context size"}})", RefusalKind::kContext},
      {413, "prompt is too long", RefusalKind::kContext},
      {400,
       R"({"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}})",
       RefusalKind::kContent},
      {400, R"({"error":{"message":"x","code":"content_policy_violation"}})", RefusalKind::kContent},
      {400, R"({"error":{"message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}})", RefusalKind::kContent},
      {403,
       R"({"error":{"code":403,"message":"requires moderation","metadata":{"reasons":["x"],"flagged_input":"y"}}})",
       RefusalKind::kContent},
      {401, R"({"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}})",
       RefusalKind::kCredentials},
      {402, R"({"error":{"message":"Insufficient Balance"}})", RefusalKind::kCredentials},
      {403, "", RefusalKind::kCredentials},
      {429, R"({"error":{"code":"context_length_exceeded"}})", RefusalKind::kBusy},
      {503, R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})", RefusalKind::kBusy},
      {529, "", RefusalKind::kBusy},
      {500, "", RefusalKind::kServer},
      {502, "<html>Bad gateway</html>", RefusalKind::kServer},
      {408, "", RefusalKind::kServer},
      {404, R"({"error":{"message":"The model `x` does not exist","code":"model_not_found"}})", RefusalKind::kServer},
      {302, "", RefusalKind::kServer},
      {400,
       R"({"error":{"message":"Invalid 'temperature'","type":"invalid_request_error","param":"temperature","code":null}})",
       RefusalKind::kCaller},
      {400, "\xFF not JSON", RefusalKind::kCaller},
      {422, R"({"detail":[{"loc":["body"],"msg":"extra"}]})", RefusalKind::kCaller},
      {413, "", RefusalKind::kCaller},
      {400, std::string(200000, '['), RefusalKind::kCaller},
  };
  for (const RefusalCase& test : cases)
    EXPECT_EQ(classify_refusal(test.status, test.body), test.kind) << test.status << " " << test.body.substr(0, 200);
}

TEST(OpenAiErrors, WritesErrorsInOpenAisShape) {
  EXPECT_EQ(
      error_body({.code = ErrorCode::kInvalidRequest, .message = "a \"b\"\n", .position = {}}, "messages"),
      R"({"error":{"message":"a \"b\"\n","type":"invalid_request_error","param":"messages","code":"invalid_request"}})");
  EXPECT_EQ(error_body({.code = ErrorCode::kModelNotFound, .message = "m", .position = {}}, "model"),
            R"({"error":{"message":"m","type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  EXPECT_EQ(
      error_frame({.code = ErrorCode::kTruncated, .message = "cut", .position = {}}),
      "data: {\"error\":{\"message\":\"cut\",\"type\":\"server_error\",\"param\":null,\"code\":\"truncated\"}}\n\n");
}

struct StatusCase {
  ErrorCode code;
  std::uint16_t status;
  const char* type;
  const char* name;
};

// Statuses as openai-python 1.x maps them to exceptions: 400 BadRequest, 401 Authentication, 403 PermissionDenied, 404
// NotFound, 429 RateLimit, 500 and above InternalServer.
TEST(OpenAiErrors, GivesEveryErrorTheStatusThatClientsRaiseOn) {
  const std::vector<StatusCase> cases = {
      {ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported"},
      {ErrorCode::kContextExceeded, 400, "invalid_request_error", "context_length_exceeded"},
      {ErrorCode::kContentRejected, 400, "invalid_request_error", "content_filter"},
      {ErrorCode::kUnauthenticated, 401, "authentication_error", "invalid_api_key"},
      {ErrorCode::kForbidden, 403, "permission_error", "forbidden"},
      {ErrorCode::kNotFound, 404, "invalid_request_error", "not_found"},
      {ErrorCode::kMethodNotAllowed, 405, "invalid_request_error", "method_not_allowed"},
      {ErrorCode::kTimeout, 408, "invalid_request_error", "timeout"},
      {ErrorCode::kTooLarge, 413, "invalid_request_error", "too_large"},
      {ErrorCode::kHeadersTooLarge, 431, "invalid_request_error", "headers_too_large"},
      {ErrorCode::kRateLimited, 429, "rate_limit_error", "rate_limit_exceeded"},
      {ErrorCode::kOverloaded, 503, "server_error", "overloaded"},
      {ErrorCode::kUnavailable, 503, "server_error", "unavailable"},
      {ErrorCode::kUpstreamFailed, 502, "server_error", "upstream_failed"},
      {ErrorCode::kUpstreamTimeout, 504, "server_error", "upstream_timeout"},
      {ErrorCode::kDraining, 503, "server_error", "draining"},
      {ErrorCode::kInternal, 500, "server_error", "internal"},
  };
  for (const StatusCase& test : cases) {
    EXPECT_EQ(status_of(test.code), test.status) << test.name;
    const Json error = Json::parse(error_body({.code = test.code, .message = "m", .position = {}}))["error"];
    EXPECT_EQ(error["type"], test.type);
    EXPECT_EQ(error["code"], test.name);
    EXPECT_TRUE(error["param"].is_null());
  }
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code)
    EXPECT_GE(status_of(static_cast<ErrorCode>(code)), 400);
}

TEST(OpenAiErrors, PassesRefusalsOnButNotOurOwnKeysTrouble) {
  const std::string theirs =
      R"({"error":{"message":"too hot","type":"invalid_request_error","param":"temperature","code":null}})";
  EXPECT_EQ(refusal_body(400, theirs, RefusalKind::kCaller, "cloud"), theirs);
  EXPECT_EQ(refusal_body(400, " {\"request_id\":\"r\",\n\"error\" : {\"message\":\"m\",\"x\":[1]}}",
                         RefusalKind::kCaller, "cloud"),
            R"({"error":{"message":"m","x":[1]}})");
  const std::string key = refusal_body(401, R"({"error":{"message":"Incorrect API key provided: sk-12****ab"}})",
                                       RefusalKind::kCredentials, "cloud");
  EXPECT_EQ(Json::parse(key)["error"]["message"], "the endpoint cloud refused its own key");
  EXPECT_EQ(Json::parse(refusal_body(502, "<html>", RefusalKind::kServer, "cloud"))["error"]["message"], "<html>");
  EXPECT_EQ(Json::parse(refusal_body(502, " \n", RefusalKind::kServer, "cloud"))["error"]["message"],
            "the endpoint cloud answered with status 502");
  EXPECT_EQ(Json::parse(refusal_body(502, "\xFF", RefusalKind::kServer, "cloud"))["error"]["message"],
            "the endpoint cloud answered with status 502");
  EXPECT_EQ(Json::parse(refusal_body(422, R"({"detail":"nope"})", RefusalKind::kCaller, "cloud"))["error"]["message"],
            "nope");
  const Json context = Json::parse(refusal_body(413, "prompt is too long", RefusalKind::kContext, "cloud"))["error"];
  EXPECT_EQ(context["code"], "context_length_exceeded");
  EXPECT_EQ(context["type"], "invalid_request_error");
  const std::string long_text = std::string(1023, 'a') + "\xC3\xA9" + std::string(5000, 'b');
  EXPECT_EQ(Json::parse(refusal_body(500, long_text, RefusalKind::kServer, "cloud"))["error"]["message"],
            std::string(1023, 'a'));
  EXPECT_EQ(Json::parse(refusal_body(429, "slow", RefusalKind::kBusy, "cloud"))["error"]["type"], "rate_limit_error");
}

// An endpoint's words are passed on up to 1 KiB, its error object as it is.
TEST(OpenAiErrors, CutsWordsAtAKibibyteAndNotBefore) {
  const auto message = [](const std::string& body) {
    return Json::parse(refusal_body(500, body, RefusalKind::kServer, "cloud"))["error"]["message"].get<std::string>();
  };
  const std::string fits(1024, 'a');
  EXPECT_EQ(message(fits), fits);
  EXPECT_EQ(message(fits + "b"), fits);
  EXPECT_EQ(message(R"({"detail":")" + fits + "\"}"), fits);
  EXPECT_EQ(message(R"({"detail":")" + fits + "b\"}"), fits);
  const std::string object = R"({"error":{"message":")" + fits + "b\"}}";
  EXPECT_EQ(message(object), fits + "b");
}

TEST(OpenAiErrors, ReadsRefusalsUpTo64Kib) {
  const auto kind = [](std::size_t size) {
    std::string body = R"({"error":{"code":"content_filter","message":"")" + std::string(size, ' ');
    return classify_refusal(400, body.replace(size - 2, std::string::npos, "}}"));
  };
  EXPECT_EQ(kind(64 * 1024), RefusalKind::kContent);
  EXPECT_EQ(kind(64 * 1024 + 1), RefusalKind::kCaller);
}

TEST(OpenAiModels, ListsModels) {
  const std::vector<std::string_view> names = {"auto", "a\"b"};
  const Json list = Json::parse(models_body(names));
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 2U);
  EXPECT_EQ(list["data"][1], Json::parse(R"({"id":"a\"b","object":"model","created":0,"owned_by":"thalweg"})"));
  EXPECT_EQ(Json::parse(model_body("auto")), list["data"][0]);
  EXPECT_EQ(models_body({}), R"({"object":"list","data":[]})");
}

TEST(OpenAiModels, ReadsWhatServersTellOfTheirModels) {
  const auto read = [](std::string_view body) {
    std::string words;
    const auto models = read_models(body);
    if (!models) return "fault: " + models.error().message;
    for (const ToldModel& model : *models) words += model.name + "=" + std::to_string(model.context_tokens) + " ";
    return words;
  };
  EXPECT_EQ(read(R"({"object":"list","data":[{"id":"gpt-4.1","object":"model","created":1,"owned_by":"openai"}]})"),
            "gpt-4.1=0 ");
  EXPECT_EQ(
      read(
          R"({"data":[{"id":"v","max_model_len":4096},{"id":"o","context_length":8192},{"id":"g","context_window":16}]})"),
      "v=4096 o=8192 g=16 ");
  EXPECT_EQ(
      read(
          R"({"models":[{"name":"x"}],"data":[{"id":"l","meta":{"n_ctx":2048,"n_ctx_train":8192}},{"id":"k","meta":{"n_ctx_train":8192}}]})"),
      "l=2048 k=8192 ");
  EXPECT_EQ(read(R"([{"id":"t","context_length":1e30},{"id":5},7])"), "t=4294967295 ");
  EXPECT_EQ(read(R"({"data":[]})"), "");
  EXPECT_EQ(read(R"({"data":{}})"), "fault: the endpoint's list of models has no array `data`");
  EXPECT_EQ(read("7"), "fault: the endpoint's list of models has no array `data`");
  EXPECT_EQ(read("no"), "fault: the endpoint's list of models is not JSON");
}

TEST(OpenAiModels, ReadsWhatTheEngineTellsOfItself) {
  const auto told = read_engine_props(
      R"({"default_generation_settings":{"params":{},"n_ctx":2048},"total_slots":4,"modalities":{"vision":true,"video":false,"audio":false},)"
      R"("chat_template_caps":{"supports_tools":true,"supports_tool_calls":true,"supports_system_role":true}})");
  ASSERT_TRUE(told);
  EXPECT_TRUE(told->tools);
  EXPECT_TRUE(told->images);
  EXPECT_FALSE(told->audio);
  EXPECT_EQ(told->context_tokens, 2048U);
  EXPECT_FALSE(
      read_engine_props(R"({"chat_template_caps":{"supports_tools":false,"supports_tool_calls":true}})")->tools);
  EXPECT_FALSE(
      read_engine_props(R"({"chat_template_caps":{"supports_tools":true,"supports_tool_calls":false}})")->tools);
  EXPECT_TRUE(read_engine_props(R"({"chat_template_caps":{"supports_tools":true}})")->tools);
  EXPECT_FALSE(read_engine_props("{}")->tools);
  EXPECT_FALSE(read_engine_props("[]"));
}

}  // namespace
}  // namespace thalweg::dialect
