// What the tests of both readers share: a message read however its bytes are cut, told as comparable values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "carry/http/message.h"

namespace thalweg::http {

/// Sizes of the pieces that `total` bytes arrive in.
using Cuts = std::vector<std::size_t>;

inline Cuts whole(std::size_t total) {
  return {total};
}
inline Cuts byte_by_byte(std::size_t total) {
  return Cuts(total, 1);
}
inline Cuts two_pieces(std::size_t total, std::size_t first) {
  return {first, total - first};
}

inline Cuts random_cuts(std::size_t total, std::mt19937_64& random) {
  Cuts cuts;
  while (total > 0) {
    const std::size_t size = std::min<std::size_t>(total, 1 + random() % 40);
    cuts.push_back(size);
    total -= size;
  }
  return cuts;
}

struct ReadRequest {
  enum class Outcome : std::uint8_t { kDone, kUnfinished, kRefused } outcome = Outcome::kUnfinished;
  ErrorCode code{};
  std::string sentence;
  Method method{};
  std::string target, path, query, host, origin, authorization, content_type, body;
  std::vector<std::pair<std::string, std::string>> fields;
  std::uint64_t content_length = 0;
  bool chunked = false, has_body = false, keep_alive = false, expects_continue = false;
  int minor_version = -1;
  std::size_t end = 0;
  friend bool operator==(const ReadRequest&, const ReadRequest&) = default;
};

/// Reads the first request of `bytes`. The buffer lies elsewhere on each call, as the contract allows.
inline ReadRequest read_request(std::string_view bytes, const Cuts& cuts, RequestReader::Limits limits = {}) {
  RequestReader reader(limits);
  ReadRequest told;
  std::vector<char> buffer;
  std::size_t arrived = 0;
  for (const std::size_t cut : cuts) {
    std::vector<char> moved(buffer);
    moved.insert(moved.end(), bytes.begin() + static_cast<std::ptrdiff_t>(arrived),
                 bytes.begin() + static_cast<std::ptrdiff_t>(arrived + cut));
    arrived += cut;
    buffer.swap(moved);
    auto state = reader.advance(buffer);
    if (state && *state == RequestReader::State::kHeadDone) state = reader.advance(buffer);
    if (!state) {
      told.outcome = ReadRequest::Outcome::kRefused;
      told.code = state.error().code;
      told.sentence = state.error().message;
      return told;
    }
    if (*state != RequestReader::State::kDone) continue;
    const RequestHead& head = reader.head(buffer);
    told.outcome = ReadRequest::Outcome::kDone;
    told.method = head.method;
    told.target = head.target;
    told.path = head.path;
    told.query = head.query;
    told.host = head.host;
    told.origin = head.origin;
    told.authorization = head.authorization;
    told.content_type = head.content_type;
    for (const Field& field : head.fields) told.fields.emplace_back(field.name, field.value);
    told.content_length = head.content_length;
    told.chunked = head.chunked;
    told.has_body = head.has_body;
    told.keep_alive = head.keep_alive;
    told.expects_continue = head.expects_continue;
    told.minor_version = head.minor_version;
    told.body = reader.body(buffer);
    told.end = reader.message_end();
    return told;
  }
  return told;
}

inline ReadRequest read_request(std::string_view bytes) {
  return read_request(bytes, whole(bytes.size()));
}

}  // namespace thalweg::http
