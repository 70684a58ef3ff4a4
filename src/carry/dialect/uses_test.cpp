// What rules read of a request, in every API: nothing that may leave by another door goes unseen.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "carry/dialect/caller_request.h"
#include "carry/dialect/plain_fields.h"
#include "carry/json/padded_test.h"

namespace thalweg::dialect {
namespace {

using inference::Surface;

std::string uses_in(Surface surface, const std::string& body) {
  const json::Padded padded(body);
  CallerRequest caller;
  const auto parsed = caller.parse(surface, padded.view());
  EXPECT_TRUE(parsed) << body << ": " << parsed.error().message;
  placement::Question question;
  caller.describe(question, fleet::kAnyEndpointKind);
  std::string words;
  for (std::size_t i = 0; i < inference::kUseCount; ++i) {
    const auto use = static_cast<inference::Use>(i);
    if (!question.asked().uses.has(use)) continue;
    if (!words.empty()) words += ' ';
    words += inference::name_of(use);
  }
  return words;
}

struct Case {
  std::string said;
  std::string uses;
};

void expect(Surface surface, const std::string& before, const std::string& behind, const std::vector<Case>& cases) {
  for (const auto& [said, uses] : cases) {
    std::string body = before;
    body.append(said).append(behind);
    EXPECT_EQ(uses_in(surface, body), uses) << said;
  }
}

TEST(Uses, OfChats) {
  const std::vector<Case> fields = {
      {R"("temperature":1,"top_k":4,"user":"u","metadata":{"a":"b"},"chat_template_kwargs":{},"stream":true)", ""},
      {R"("tools":[{"type":"function","function":{"name":"f"}}])", ""},
      {R"("tools":[{"type":"web_search"}])", "hosted_tools"},
      {R"("web_search_options":{})", "hosted_tools"},
      {R"("store":true)", "store"},
      {R"("store":false)", ""},
      {R"("modalities":["text","audio"])", "audio"},
      {R"("plugins":[{"id":"web"}])", "other"},
      {R"("\u0070lugins":[])", "other"},
      {R"("temperatur\u0065":1)", ""},
      {R"("documents":[{"url":"https://x"}])", "other"},
      {R"("background":true)", "other"},
      {R"("input":"x")", "other"},
      {R"("prompt":"x")", "other"},
  };
  expect(Surface::kOpenAiChat, R"({"model":"m","messages":[{"role":"user","content":"hi"}],)", "}", fields);
  const std::vector<Case> parts = {
      {R"({"type":"text","text":"see https://x"})", ""},
      {R"({"type":"image_url","image_url":{"url":"data:image/png;base64,aa"}})", "images"},
      {R"({"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}})", "images remote_urls"},
      {R"({"type":"image_url","image_url":"https://x/y.png"})", "images remote_urls"},
      {R"({"type":"image_url","image_url":{"url":"//x/y.png"}})", "images remote_urls"},
      {R"({"type":"image_url","image_url":{"url":"\u0064ata:image/png;base64,aa"}})", "images remote_urls"},
      {R"({"type":"input_audio","input_audio":{"data":"aa","format":"wav"}})", "audio"},
      {R"({"type":"audio_url","audio_url":{"url":"https://x"}})", "audio files remote_urls"},
      {R"({"type":"video_url","video_url":{"url":"file:///etc/x"}})", "files remote_urls"},
      {R"({"type":"file","file":{"file_id":"f"}})", "files file_ids"},
      {R"({"type":"file","file":{"file_data":"data:application/pdf;base64,aa","filename":"c:x"}})", "files"},
      {R"({"type":"file","file":{"file_data":"https://x"}})", "files remote_urls"},
  };
  expect(Surface::kOpenAiChat, R"({"model":"m","messages":[{"role":"user","content":[)", "]}]}", parts);
  EXPECT_EQ(
      uses_in(Surface::kOpenAiChat,
              R"({"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}},{"role":"user","content":"x"}]})"),
      "audio file_ids");
}

TEST(Uses, OfMessages) {
  const std::vector<Case> fields = {
      {R"("temperature":1,"metadata":{},"thinking":{"type":"enabled","budget_tokens":9},"context_management":{})", ""},
      {R"("tools":[{"name":"f","input_schema":{}}])", ""},
      {R"("tools":[{"type":"web_search_20250305","name":"web_search"}])", "hosted_tools"},
      {R"("mcp_servers":[{"type":"url","url":"https://x","name":"x"}])", "other"},
      {R"("container":"c")", "file_ids other"},
      {R"("something":1)", "other"},
      {R"("something":null)", ""},
      {R"("":1)", "other"},
  };
  expect(Surface::kAnthropicMessages, R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}],)",
         "}", fields);
  const std::vector<Case> blocks = {
      {R"({"type":"text","text":"x","cache_control":{"type":"ephemeral"}})", ""},
      {R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"aa"}})", "images"},
      {R"({"type":"image","source":{"type":"url","url":"https://x"}})", "images remote_urls"},
      {R"({"type":"image","source":{"type":"file","file_id":"f"}})", "images file_ids other"},
      {R"({"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}})", ""},
      {R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"aa"}})", "files"},
      {R"({"type":"document","source":{"type":"url","url":"https://x"}})", "files other"},
      {R"({"type":"container_upload","file_id":"f"})", "file_ids other"},
      {R"({"type":"search_result","source":"x","title":"x","content":[]})", "other"},
  };
  expect(Surface::kAnthropicMessages, R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":[)", "]}]}",
         blocks);
  expect(Surface::kAnthropicMessages,
         R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[)",
         R"({"type":"text","text":"x"}]},{"role":"user","content":"x"}]})",
         {{R"({"type":"thinking","thinking":"x","signature":"s"},)", ""}});
}

TEST(Uses, OfTheOthers) {
  expect(
      Surface::kOpenAiResponses, R"({"model":"m","input":)", "}",
      {{R"("x")", ""},
       {R"([{"role":"user","content":[{"type":"input_image","image_url":"https://x"}]}])", "images remote_urls"},
       {R"([{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,aa"}]}])", "images"}});
  expect(Surface::kOllamaChat, R"({"model":"m","messages":[{"role":"user","content":"x")", "}]}",
         {{"", ""}, {R"(,"images":["aa"])", "images"}});
  expect(Surface::kOpenAiEmbeddings, R"({"model":"m","input":["https://x"])", "}",
         {{R"(,"encoding_format":"float","dimensions":4,"user":"u")", ""}, {R"(,"modality":"image")", "other"}});
  expect(Surface::kRerank, R"({"model":"m","query":"q","top_n":1,"documents":[)", "]}",
         {{R"("x",{"text":"y"})", ""}, {R"({"image":"https://x"})", "other"}});
  expect(Surface::kOpenAiCompletions, R"({"model":"m","prompt":"x")", "}",
         {{R"(,"suffix":"y","echo":true,"best_of":2)", ""}, {R"(,"messages":[])", "other"}});
}

TEST(PlainFields, AreNamesInFull) {
  EXPECT_TRUE(is_plain_field("temperature"));
  EXPECT_TRUE(is_plain_field("chat_template_kwargs"));
  for (const std::string_view name : {"", "temperatur", "Temperature", "plugins", "documents", "lora", "mcp_servers"})
    EXPECT_FALSE(is_plain_field(name)) << name;
}

}  // namespace
}  // namespace thalweg::dialect
