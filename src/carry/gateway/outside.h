// Every outgoing call that is not a request to an endpoint: today, fetching a model file by its address and checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace thalweg::gateway {

inline constexpr int kMaxRedirects = 5;

/// Fetches `url` (https, or http from loopback) into `file` through a part file beside it, and keeps it only if its
/// SHA-256 is the expected one. `progress(done, total)` with total 0 when unknown. Redirects are followed to https
/// only. `accept(part)`, where given, sees the whole file before it takes its place; its error is the answer, and what
/// stood there before stays.
Result<void> fetch(const std::string& url, const Sha256& expected, const std::filesystem::path& file,
                   const std::function<void(std::uint64_t done, std::uint64_t total)>& progress,
                   const std::function<Result<void>(const std::filesystem::path&)>& accept = {});

/// The SHA-256 of a file. kIo when it cannot be read.
Result<Sha256> sha256_of(const std::filesystem::path& file);

}  // namespace thalweg::gateway
