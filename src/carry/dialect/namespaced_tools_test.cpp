// Tools in a namespace, on their way to an endpoint that knows none and back.
#include "carry/dialect/namespaced_tools.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "carry/dialect/responses_answer.h"
#include "carry/dialect/responses_request.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;
using json::Padded;

constexpr std::string_view kCrm =
    R"({"type":"namespace","name":"crm","description":"Customers","tools":[{"type":"function","name":"find","parameters":{"type":"object"}},)"
    R"({"type":"custom","name":"ask"}]})";

std::string with_tools(std::string_view tools, std::string_view input = R"("x")") {
  return R"({"model":"m","input":)" + std::string(input) + R"(,"tools":[)" + std::string(tools) + "]}";
}

// The names that the endpoint is told, or what is wrong.
std::string told(const std::string& body) {
  ResponsesRequest request;
  const Padded padded(body);
  if (const auto done = request.translate(padded.view()); !done) return done.error().message;
  if (!request.not_carried().empty()) return std::string(request.not_carried());
  std::string names;
  const Json chat = Json::parse(request.chat());
  for (const Json& tool : chat.value("tools", Json::array()))
    names += tool[tool["type"].get<std::string>()]["name"].get<std::string>() + " ";
  return names;
}

TEST(NamespacedTools, AreCalledByBothNames) {
  EXPECT_EQ(told(with_tools(std::string(kCrm) + R"(,{"type":"function","name":"find"})")), "crm__find crm__ask find ");
  EXPECT_EQ(told(with_tools(R"({"type":"namespace","name":"crm","tools":[]})")), "");
}

TEST(NamespacedTools, HaveTheirDescriptionDroppedAsAHint) {
  ResponsesRequest request;
  const Padded body(with_tools(kCrm));
  ASSERT_TRUE(request.translate(body.view()));
  EXPECT_EQ(request.dropped(), "tools.description");
}

TEST(NamespacedTools, AreNotCarriedWhereTwoWouldHaveOneName) {
  const std::string refusal = "tools: two of them would have one name in a chat completion; rename one";
  EXPECT_EQ(told(with_tools(std::string(kCrm) + R"(,{"type":"function","name":"crm__find"})")), refusal);
  EXPECT_EQ(told(with_tools(std::string(kCrm) + R"(,{"type":"function","name":"crm\u005f_find"})")), refusal);
  EXPECT_EQ(told(with_tools(R"({"type":"namespace","name":"a","tools":[{"type":"function","name":"b__c"}]},)"
                            R"({"type":"namespace","name":"a__b","tools":[{"type":"function","name":"c"}]})")),
            refusal);
}

TEST(NamespacedTools, HaveNoNamespaceAndNoHostedToolInside) {
  for (const std::string inner : {R"({"type":"namespace","name":"b","tools":[]})", R"({"type":"web_search"})"})
    EXPECT_EQ(told(with_tools(R"({"type":"namespace","name":"a","tools":[)" + inner + "]}")),
              "tools[0].tools[0].type: tools that a provider runs cannot be carried to another one");
}

TEST(NamespacedTools, HaveANamespaceOf64BytesAtMost) {
  const auto body = [](std::size_t bytes) {
    return with_tools(R"({"type":"namespace","name":")" + std::string(bytes, 'n') +
                      R"(","tools":[{"type":"function","name":"f"}]})");
  };
  EXPECT_EQ(told(body(64)), std::string(64, 'n') + "__f ");
  EXPECT_EQ(told(body(65)), "tools[0].name: expected at most 64 bytes");
}

TEST(NamespacedTools, KeepTheirNameInTheConversation) {
  ResponsesRequest request;
  const Padded body(
      with_tools(kCrm, R"([{"type":"function_call","call_id":"c","name":"find","namespace":"crm","arguments":"{}"},)"
                       R"({"type":"function_call_output","call_id":"c","namespace":"crm","output":"7"}])"));
  ASSERT_TRUE(request.translate(body.view()));
  EXPECT_EQ(request.not_carried(), "");
  const Json chat = Json::parse(request.chat());
  EXPECT_EQ(chat["messages"][0]["tool_calls"][0]["function"]["name"], "crm__find");
  EXPECT_EQ(chat["messages"][1]["role"], "tool");
}

// The items of an answer that calls these tools.
Json items(const ResponsesRequest& request, std::string_view name, bool streamed) {
  const std::string call = R"("tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":")" +
                           std::string(name) + R"(","arguments":"{}"}}])";
  ResponsesAnswer answer;
  answer.begin("0", "m", 1, request.echo(), &request.namespaced());
  std::string out;
  if (!streamed) {
    const Padded whole(R"({"choices":[{"index":0,"message":{"role":"assistant",)" + call +
                       R"(},"finish_reason":"tool_calls"}]})");
    EXPECT_TRUE(answer.write_whole(whole.view(), {}, out));
    return Json::parse(out)["output"];
  }
  const Padded chunk(R"({"choices":[{"index":0,"delta":{)" + call + R"(},"finish_reason":"tool_calls"}]})");
  EXPECT_TRUE(answer.add_chunk(chunk.view(), out));
  answer.finish({}, out);
  EXPECT_EQ(out.find("crm__find"), std::string::npos);
  return Json::parse(out.substr(out.rfind("\ndata: ") + 7))["response"]["output"];
}

TEST(NamespacedTools, ComeBackAsTheirTwoNames) {
  ResponsesRequest request;
  const Padded body(with_tools(std::string(kCrm) + R"(,{"type":"function","name":"x__y"})"));
  ASSERT_TRUE(request.translate(body.view()));
  for (const bool streamed : {false, true}) {
    const Json call = items(request, "crm__find", streamed)[0];
    EXPECT_EQ(call["name"], "find");
    EXPECT_EQ(call["namespace"], "crm");
    const Json other = items(request, "x__y", streamed)[0];
    EXPECT_EQ(other["name"], "x__y");
    EXPECT_FALSE(other.contains("namespace"));
  }
}

}  // namespace
}  // namespace thalweg::dialect
