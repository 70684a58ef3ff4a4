// A request to rank documents by how well they fit a query, as Jina, Cohere, vLLM and llama-server have it. Texts go
// anywhere; what is more than text (images, fields of a record) is for servers that know it.
#include <fmt/format.h>

#include <algorithm>

#include "carry/dialect/request_body.h"

namespace thalweg::dialect {

bool RequestBody::read_rerank_member(const json::Member& member) {
  if (member.name == "model") return read_model();
  if (member.name == "query") return read_query();
  if (member.name == "documents") return read_documents();
  if (member.name == "top_n") {
    Value top_n;
    return read_integer("top_n", top_n, 0);  // llama-server v0.5.0 fails on less
  }
  if (member.name == "return_documents") {
    Value wished;
    if (!read_flag("return_documents", wished)) return false;
    wants_documents = wished.kind == json::Kind::kTrue;
    return true;
  }
  if (member.name == "texts") {  // llama-server would answer in that API's shape
    blame("texts", "'texts' is of another API (text-embeddings-inference): send 'documents'");
  }
  return skip_unread(member);
}

bool RequestBody::read_query() {
  has_query_ = true;
  switch (walk_.next()) {
    case json::Kind::kString:
      return read_measured_text(query_bytes_);
    case json::Kind::kObject:
      if (beyond_engine.empty()) beyond_engine = "query: an engine ranks by a text, not by an object";
      request_.uses.add(inference::Use::kOther);
      return walk_.skip();
    default:
      return skip_wrong_type("query", "a string");
  }
}

bool RequestBody::read_documents() {
  has_documents_ = true;
  if (walk_.next() != json::Kind::kArray) return skip_wrong_type("documents", "an array of strings or objects");
  if (!walk_.array([this] { return read_document(documents_++); })) return false;
  if (documents_ == 0) {
    blame("documents",
          "Invalid 'documents': empty array. Expected an array with minimum length 1, but got an empty array instead.");
  }
  if (documents_ > kMaxDocuments) blame("documents", fmt::format("at most {} documents in one request", kMaxDocuments));
  return true;
}

bool RequestBody::read_document(std::uint64_t index) {
  std::uint64_t bytes = 0;
  const json::Kind kind = walk_.next();
  if (kind != json::Kind::kString && kind != json::Kind::kObject) {
    return skip_wrong_type(fmt::format("documents[{}]", index), "a string or an object");
  }
  if (kind == json::Kind::kString) {
    if (!read_measured_text(bytes)) return false;
  } else {
    Document document;
    document.object.begin = walk_.offset();
    const bool read = walk_.object([&](const json::Member& member) {
      if (member.name != "text" || walk_.next() != json::Kind::kString) {
        has_more_members = true;
        request_.uses.add(inference::Use::kOther);
        return walk_.skip();
      }
      document.text.begin = walk_.offset();
      if (!read_measured_text(bytes)) return false;
      document.text.end = walk_.offset();
      return true;
    });
    if (!read) return false;
    document.object.end = walk_.offset();
    if (document.text.empty()) {
      if (beyond_engine.empty())
        beyond_engine = fmt::format("documents[{}]: an engine ranks texts; it has no `text`", index);
    } else if (index < kMaxDocuments) {
      documents.push_back(document);
    }
  }
  request_.prompt_bytes += bytes;
  largest_piece_ = std::max(largest_piece_, bytes);
  return true;
}

bool RequestBody::read_measured_text(std::uint64_t& bytes) {
  json::Text text;
  if (!walk_.string(text)) return false;
  bytes = text.meant_bytes;
  return true;
}

}  // namespace thalweg::dialect
