// How every request body is read: one JSON object, judged to its last byte.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "base/result.h"
#include "carry/json/walk.h"

namespace thalweg::dialect {

/// Walks the members of `body` (http::kPadding readable bytes behind it) by the caller's rules; `on_member` as for
/// json::Walk::object. kInvalidRequest for an empty body, for what is no JSON, with the offset, and for another value
/// than an object.
template <class OnMember>
Result<void> read_body(json::Walk& walk, std::string_view body, OnMember&& on_member) {
  if (body.empty()) return fail(ErrorCode::kInvalidRequest, "the request body is empty: send a JSON object");
  const bool started = walk.start(body, json::Walk::Rules::kCaller);
  const json::Kind kind = started ? walk.next() : json::Kind::kNone;
  const bool read = started && (kind == json::Kind::kObject ? walk.object(on_member) : walk.skip()) && walk.end();
  if (!read) {
    return fail(ErrorCode::kInvalidRequest, fmt::format("the request body is not valid JSON: {}", walk.fault()));
  }
  if (kind == json::Kind::kObject) return {};
  return fail(ErrorCode::kInvalidRequest,
              fmt::format("the request body must be a JSON object, but it is {}", name_of(kind)));
}

}  // namespace thalweg::dialect
