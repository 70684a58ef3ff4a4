#include "base/result.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace thalweg {

std::string_view name_of(ErrorCode code) {
  static constexpr std::array<std::string_view, 25> kNames = {"invalid_request",
                                                              "unsupported",
                                                              "context_exceeded",
                                                              "content_rejected",
                                                              "unauthenticated",
                                                              "forbidden",
                                                              "not_found",
                                                              "model_not_found",
                                                              "method_not_allowed",
                                                              "timeout",
                                                              "too_large",
                                                              "headers_too_large",
                                                              "rate_limited",
                                                              "overloaded",
                                                              "unavailable",
                                                              "upstream_failed",
                                                              "upstream_timeout",
                                                              "upstream_refused",
                                                              "truncated",
                                                              "client_gone",
                                                              "draining",
                                                              "config",
                                                              "io",
                                                              "corrupt",
                                                              "internal"};
  static_assert(static_cast<std::size_t>(ErrorCode::kInternal) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(code)];
}

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "thalweg: broken invariant at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace thalweg
