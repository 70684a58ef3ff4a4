// Requests to rank documents, towards servers and the engine, and their answers.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "carry/dialect/caller_request.h"
#include "carry/dialect/openai.h"
#include "carry/dialect/request_body.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using fleet::EndpointKind;
using inference::Surface;

std::string with(std::string_view members) {
  return R"({"model":"m","query":"abcd",)" + std::string(members) + "}";
}

// "parameter: sentence" of a refusal, else the sizes: all texts and the largest, in bytes and tokens.
std::string reading_of(std::string_view body) {
  const json::Padded padded(body);
  OpenAiRequest reader;
  if (const auto read = reader.parse(Surface::kRerank, padded.view()); !read)
    return fmt::format("{}: {}", reader.fault_parameter(), read.error().message);
  const inference::Request& request = reader.request();
  EXPECT_EQ(request.needs, inference::Capabilities{inference::Capability::kRerank});
  EXPECT_EQ(request.delivery, inference::Delivery::kWhole);
  EXPECT_EQ(request.choices, 1U);
  return fmt::format("{} bytes, largest {} tokens", request.prompt_bytes, request.largest_piece_tokens);
}

TEST(Rerank, CountsTheQueryWithEachDocument) {
  // The query has 4 bytes: 4 + 3 and 4 + 12 bytes, a quarter of the larger is 4 tokens.
  EXPECT_EQ(reading_of(with(R"("documents":["abc","twelve bytes"])")), "23 bytes, largest 4 tokens");
  EXPECT_EQ(reading_of(R"({"documents":["abc",{"text":"twelve bytes"}],"query":"abcd","model":"m"})"),
            "23 bytes, largest 4 tokens");
  EXPECT_EQ(reading_of(with(R"("documents":[{"text":"abc","id":"much longer"}],"top_n":0,"return_documents":null)")),
            "7 bytes, largest 2 tokens");
  EXPECT_EQ(reading_of(with(R"("documents":[{"image":"https://e.example"}])")), "4 bytes, largest 1 tokens");
}

TEST(Rerank, RefusesWhatIsNoQueryAndNoDocumentsByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"model":"m","documents":["a"]})", "query: Missing required parameter: 'query'."},
      {R"({"model":"m","query":["a"],"documents":["a"]})",
       "query: Invalid type for 'query': expected a string, but got an array instead."},
      {R"({"model":"m","query":"q"})", "documents: Missing required parameter: 'documents'."},
      {R"({"query":"q","documents":["a"]})", "model: you must provide a model parameter"},
      {with(R"("documents":[])"),
       "documents: Invalid 'documents': empty array. Expected an array with minimum length 1, but got an empty array "
       "instead."},
      {with(R"("documents":"a")"),
       "documents: Invalid type for 'documents': expected an array of strings or objects, but got a string instead."},
      {with(R"("documents":["a",7])"),
       "documents[1]: Invalid type for 'documents[1]': expected a string or an object, but got a number instead."},
      {with(R"("documents":["a"],"top_n":-1)"), "top_n: Invalid 'top_n': expected a value >= 0, but got -1 instead."},
      {with(R"("documents":["a"],"top_n":"1")"),
       "top_n: Invalid type for 'top_n': expected an integer, but got a string instead."},
      {with(R"("documents":["a"],"return_documents":1)"),
       "return_documents: Invalid type for 'return_documents': expected a boolean, but got a number instead."},
      {with(R"("documents":["a"],"texts":["a"])"),
       "texts: 'texts' is of another API (text-embeddings-inference): send 'documents'"},
  };
  for (const auto& [body, reading] : cases) EXPECT_EQ(reading_of(body), reading) << body;
}

TEST(Rerank, TakesTenThousandDocumentsAndNotOneMore) {
  std::string documents;
  for (std::uint64_t i = 0; i < kMaxDocuments; ++i) documents += i == 0 ? R"({"text":"a"})" : R"(,{"text":"a"})";
  EXPECT_EQ(reading_of(with("\"documents\":[" + documents + "]")), "50000 bytes, largest 2 tokens");
  EXPECT_EQ(reading_of(with("\"documents\":[" + documents + ",\"a\"]")),
            "documents: at most 10000 documents in one request");
}

std::string body_towards(EndpointKind kind, std::string_view body) {
  const json::Padded padded(body);
  OpenAiRequest reader;
  EXPECT_TRUE(reader.parse(Surface::kRerank, padded.view()));
  const std::string first = reader.body_for(kind, "up", {}).joined();
  EXPECT_EQ(reader.body_for(kind, "up", {}).joined(), first) << "the second time";
  return first;
}

TEST(Rerank, EditsTheModelAloneTowardsAServer) {
  EXPECT_EQ(body_towards(EndpointKind::kOpenAi,
                         R"({ "documents":[{"text":"\u00e9","x":1}, "b"] ,"model" : "m","query":"q","stream":1})"),
            R"({ "documents":[{"text":"\u00e9","x":1}, "b"] ,"model" : "up","query":"q","stream":1})");
}

TEST(Rerank, WritesDocumentsAsTextsTowardsTheEngine) {
  EXPECT_EQ(body_towards(EndpointKind::kEngine,
                         R"({"documents":[{"x":{"text":"no"},"text":"\u00e9"},"b", { "text" : "c\"" } ],"query":"q",)"
                         R"("model":"m","top_n":2})"),
            R"({"documents":["\u00e9","b", "c\"" ],"query":"q","model":"up","top_n":2})");
}

TEST(Rerank, GoesToServersAloneWhereItIsMoreThanText) {
  const fleet::EndpointKinds both = {EndpointKind::kEngine, EndpointKind::kOpenAi};
  const auto carried = [](CallerRequest& caller, const json::Padded& body) {
    EXPECT_TRUE(caller.parse(Surface::kRerank, body.view()));
    placement::Question question;
    caller.describe(question, fleet::kAnyEndpointKind);
    EXPECT_EQ(question.surface, Surface::kRerank);
    return question.carried_by;
  };
  CallerRequest caller;
  const json::Padded text(with(R"("documents":[{"text":"a","title":"t"}],"return_documents":true)"));
  EXPECT_EQ(carried(caller, text), both);
  EXPECT_EQ(caller.path_for(EndpointKind::kOpenAi), "/rerank");
  EXPECT_EQ(caller.dropped(EndpointKind::kEngine), "documents.*, return_documents");
  EXPECT_EQ(caller.dropped(EndpointKind::kOpenAi), "");
  const json::Padded image(with(R"("documents":["a",{"image":"https://e.example/a.png"}])"));
  EXPECT_EQ(carried(caller, image), fleet::EndpointKinds{EndpointKind::kOpenAi});
  EXPECT_EQ(caller.not_carried(), "documents[1]: an engine ranks texts; it has no `text`");
  const json::Padded object(R"({"model":"m","query":{"image":"x"},"documents":["a"]})");
  EXPECT_EQ(carried(caller, object), fleet::EndpointKinds{EndpointKind::kOpenAi});
  EXPECT_EQ(caller.not_carried(), "query: an engine ranks by a text, not by an object");
  const json::Padded plain(with(R"("documents":["a"])"));
  EXPECT_EQ(carried(caller, plain), both);
  EXPECT_EQ(caller.not_carried(), "");
  EXPECT_EQ(caller.dropped(EndpointKind::kEngine), "");
}

struct Whole {
  std::string out;  // or the fault
  inference::Usage usage;
};

Whole read_whole(std::string_view body) {
  const json::Padded padded(body);
  inference::Request request;
  request.surface = Surface::kRerank;
  OpenAiAnswer answer;
  answer.begin(request, "shown", true);
  const auto facts = answer.read_whole(padded.view());
  if (!facts) return {facts.error().message, {}};
  EXPECT_NE(facts->finish, facts->error);
  return {answer.whole().joined(), answer.usage()};
}

TEST(Rerank, PassesAnswersOfEveryServerAndCountsTheirTokens) {
  // llama-server v0.5.0, then Jina and vLLM, then Cohere.
  const Whole engine = read_whole(
      R"({"model":"x","object":"list","usage":{"prompt_tokens":7,"total_tokens":7},"results":[{"index":0,"relevance_score":-0.42}]})");
  EXPECT_EQ(
      engine.out,
      R"({"model":"shown","object":"list","usage":{"prompt_tokens":7,"total_tokens":7},"results":[{"index":0,"relevance_score":-0.42}]})");
  EXPECT_TRUE(engine.usage.reported);
  EXPECT_EQ(engine.usage.input_tokens, 7U);
  const Whole jina = read_whole(R"({"usage":{"total_tokens":56},"results":[]})");
  EXPECT_TRUE(jina.usage.reported);
  EXPECT_EQ(jina.usage.input_tokens, 56U);
  EXPECT_EQ(jina.usage.output_tokens, 0U);
  const std::string cohere =
      R"({"id":"1","results":[{"index":1,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1}}})";
  EXPECT_EQ(read_whole(cohere).out, cohere);
  EXPECT_FALSE(read_whole(cohere).usage.reported);
}

TEST(Rerank, DoesNotTakeAnotherAnswerForOne) {
  for (const std::string_view body : {R"([{"index":0,"score":1}])", R"({"data":[]})", R"({"results":{}})", "{}"})
    EXPECT_TRUE(read_whole(body).out.starts_with("the endpoint's answer")) << body;
}

}  // namespace
}  // namespace thalweg::dialect
