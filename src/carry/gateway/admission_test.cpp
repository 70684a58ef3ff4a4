#include "carry/gateway/admission.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "carry/gateway/retry_budget.h"

namespace thalweg::gateway {
namespace {

http::RequestHead head_of(http::Method method, std::string_view path, std::string_view host = "127.0.0.1:8080") {
  http::RequestHead head;
  head.method = method;
  head.path = head.target = path;
  head.host = host;
  return head;
}

TEST(Admission, FindsEveryRouteByMethodAndPath) {
  EXPECT_EQ(find_route(head_of(http::Method::kPost, "/v1/chat/completions"), {}).value(), Route::kChat);
  EXPECT_EQ(find_route(head_of(http::Method::kPost, "/v1/completions"), {}).value(), Route::kCompletions);
  EXPECT_EQ(find_route(head_of(http::Method::kPost, "/v1/messages"), {}).value(), Route::kMessages);
  EXPECT_EQ(find_route(head_of(http::Method::kGet, "/v1/models"), {}).value(), Route::kModels);
  EXPECT_EQ(find_route(head_of(http::Method::kHead, "/v1/models"), {}).value(), Route::kModels);
  EXPECT_EQ(find_route(head_of(http::Method::kGet, "/v1/models/a/b"), {}).value(), Route::kModel);
  EXPECT_EQ(find_route(head_of(http::Method::kGet, "/metrics"), {}).value(), Route::kMetrics);
  EXPECT_EQ(find_route(head_of(http::Method::kPost, "/api/chat"), {}).value(), Route::kOllamaChat);
  EXPECT_EQ(find_route(head_of(http::Method::kPost, "/api/show"), {}).value(), Route::kOllamaShow);
  EXPECT_EQ(find_route(head_of(http::Method::kGet, "/api/tags"), {}).value(), Route::kOllamaTags);
  EXPECT_EQ(find_route(head_of(http::Method::kHead, "/"), {}).value(), Route::kOllamaRuns);
}

TEST(Admission, OpensToAllWhatTellsNothing) {
  for (const Route route : {Route::kHealth, Route::kReady, Route::kPreflight, Route::kOllamaRuns})
    EXPECT_TRUE(is_open(route));
  for (const Route route : {Route::kChat, Route::kModels, Route::kMetrics, Route::kOllamaChat, Route::kOllamaTags,
                            Route::kOllamaShow, Route::kOllamaPs, Route::kOllamaVersion}) {
    EXPECT_FALSE(is_open(route));
  }
}

TEST(Admission, SaysWhichMethodWorksAndWhichPathWasMeant) {
  const auto method = find_route(head_of(http::Method::kGet, "/v1/chat/completions"), {});
  ASSERT_FALSE(method);
  EXPECT_EQ(method.error().code, ErrorCode::kMethodNotAllowed);
  EXPECT_NE(method.error().message.find("POST"), std::string::npos);
  const auto path = find_route(head_of(http::Method::kPost, "/v1/chat/completion"), {});
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().message.find("/v1/chat/completions"), std::string::npos);
}

TEST(Admission, LetsThroughPlainPathsByTheirMethods) {
  config::Passages passages;
  passages.add({"files", {http::Method::kGet, http::Method::kDelete}}, {"/v1/files/*"});
  const auto found = [&](http::Method method, std::string_view path) {
    return find_route(head_of(method, path), passages);
  };
  EXPECT_EQ(found(http::Method::kGet, "/v1/files/a").value(), Route::kPassthrough);
  EXPECT_EQ(found(http::Method::kDelete, "/v1/files/a/b").value(), Route::kPassthrough);
  EXPECT_EQ(found(http::Method::kOptions, "/v1/files/a").value(), Route::kPreflight);
  for (const auto method : {http::Method::kPost, http::Method::kHead, http::Method::kOther})
    EXPECT_EQ(found(method, "/v1/files/a").error().code, ErrorCode::kMethodNotAllowed);
  EXPECT_EQ(allowed_methods("/v1/files/a", passages), "GET, DELETE, OPTIONS");
  EXPECT_EQ(found(http::Method::kGet, "/v1/files").error().code, ErrorCode::kNotFound);
  for (const char* path : {"/v1/files/../models", "/v1/files/%2e%2e/models", "/v1/files//a", "/v1/files/",
                           "/v1/files/a%2Fb", "/v1/files/;a", "/v1/files/."}) {
    EXPECT_EQ(found(http::Method::kGet, path).error().code, ErrorCode::kInvalidRequest) << path;
  }
  EXPECT_FALSE(is_open(Route::kPassthrough));
}

TEST(Admission, ServesLoopbackNamesAndListedHostsOnly) {
  config::Settings settings;
  settings.allowed_hosts = {"gateway.internal"};
  for (const char* host : {"127.0.0.1", "127.0.0.1:8080", "127.9.9.9", "localhost", "LOCALHOST:1", "[::1]",
                           "[::1]:8080", "gateway.internal", "Gateway.Internal:8080", ""}) {
    EXPECT_TRUE(check_origin(head_of(http::Method::kGet, "/", host), settings)) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "gateway.internal.evil",
                           "[::2]", "10.0.0.1"}) {
    EXPECT_FALSE(check_origin(head_of(http::Method::kGet, "/", host), settings)) << host;
  }
}

TEST(Admission, RefusesPagesOfOriginsThatAreNotListed) {
  config::Settings settings;
  settings.allowed_origins = {"https://app.example"};
  auto head = head_of(http::Method::kPost, "/v1/chat/completions");
  head.origin = "https://app.example";
  EXPECT_TRUE(check_origin(head, settings));
  for (const char* origin : {"https://evil.example", "null", "http://app.example", "https://app.example.evil", ""}) {
    head.origin = origin;
    EXPECT_EQ(check_origin(head, settings).error().code, ErrorCode::kForbidden) << origin;
  }
}

policy::Policy one_key(std::string_view text, std::string id) {
  policy::Policy policy;
  policy.keys.push_back({std::move(id), sha256(text), "research", {}});
  policy::seal(policy, {});
  return policy;
}

TEST(Admission, AcceptsTheKeyThatWasHashedAndNoOther) {
  const std::string text = "tw_dev_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const policy::Policy policy = one_key(text, "dev");
  auto head = head_of(http::Method::kPost, "/v1/chat/completions");
  const std::string good = "Bearer " + text;
  head.authorization = good;
  const auto subject = authenticate(head, policy);
  ASSERT_TRUE(subject);
  EXPECT_EQ(subject->tenant, "research");
  EXPECT_EQ(subject->key->id, "dev");
  for (const std::string& bad :
       {std::string("Bearer ") + text + "B", std::string("Bearer tw_other_") + text.substr(7),
        std::string("Basic ") + text, std::string("Bearer sk-something"), std::string("Bearer "), std::string(""),
        std::string("Bearer tw__x"), std::string("Bearer tw_dev_")}) {
    head.authorization = bad;
    const auto refused = authenticate(head, policy);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(refused.error().message.find(text), std::string::npos) << "an error must not show the key";
  }
  head.authorization = {};
  EXPECT_FALSE(authenticate(head, policy));
  const http::Field older{"X-Api-Key", text};
  head.fields = {&older, 1};
  EXPECT_TRUE(authenticate(head, policy));
  head.authorization = "Bearer tw_dev_wrong";  // what stands in Authorization is what counts
  EXPECT_FALSE(authenticate(head, policy));
}

TEST(Admission, WithoutConfiguredKeysAnyBearerIsAccepted) {
  auto head = head_of(http::Method::kPost, "/v1/chat/completions");
  EXPECT_TRUE(authenticate(head, policy::Policy{}));
  head.authorization = "Bearer whatever";
  EXPECT_TRUE(authenticate(head, policy::Policy{}));
}

TEST(RetryBudget, GivesTenAtOnceAndOneMoreForEveryTenRequests) {
  RetryBudget budget;
  RetryRefill shard;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(budget.spend());
  EXPECT_FALSE(budget.spend());
  for (int i = 0; i < 9; ++i) shard.on_request(budget);
  EXPECT_FALSE(budget.spend());
  shard.on_request(budget);
  EXPECT_TRUE(budget.spend());
  EXPECT_FALSE(budget.spend());
  for (int i = 0; i < 100000; ++i) shard.on_request(budget);
  int spent = 0;
  while (budget.spend()) ++spent;
  EXPECT_EQ(spent, 10);
}

}  // namespace
}  // namespace thalweg::gateway
