// What is in force: one checked configuration with what its endpoints need at run time. Immutable once published; each
// shard keeps its own reference, posted to it, so that no counter is shared between cores.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "carry/config/settings.h"
#include "carry/upstream/dispatch.h"
#include "decide/facts/facts.h"
#include "decide/fleet/conditions.h"
#include "decide/fleet/slots.h"

namespace thalweg::gateway {

/// gen_ai.operation.name in OpenTelemetry's words, and a word of ours where it has none; several surfaces ask for the
/// same.
inline constexpr std::array<std::string_view, 6> kOperations = {"chat",         "text_completion", "embeddings",
                                                                "count_tokens", "rerank",          "passthrough"};
constexpr std::size_t operation_of(inference::Surface surface) {
  switch (surface) {
    case inference::Surface::kOpenAiCompletions:
    case inference::Surface::kOllamaRaw:
      return 1;
    case inference::Surface::kOpenAiEmbeddings:
    case inference::Surface::kOllamaEmbed:
    case inference::Surface::kOllamaEmbeddings:
      return 2;
    case inference::Surface::kAnthropicCountTokens:
      return 3;
    case inference::Surface::kRerank:
      return 4;
    case inference::Surface::kPassthrough:
      return 5;
    default:
      return 0;
  }
}

// For metrics: pairs of endpoint and model ever seen by one process, and one series for each of their operations.
inline constexpr std::size_t kMaxPairs = 4096;
inline constexpr std::size_t kMaxSeries = kMaxPairs * kOperations.size();

/// Of an engine, counted since its child was made.
struct EngineFigures {
  std::atomic<std::uint64_t> restarts{0};
  std::atomic<std::uint64_t> loads{0};  // for requests
};

/// Of the file of an engine's model, when the configuration was read.
struct ModelFile {
  std::uint64_t bytes = 0;
  UtcTime modified_at{};
};

struct EndpointRuntime {
  std::shared_ptr<fleet::SlotCounter> slots;
  upstream::Destination destination;
  // Of the metrics, for each model.
  std::vector<std::array<std::uint32_t, kOperations.size()>> series;
  std::shared_ptr<const EngineFigures> engine;  // null for other endpoints
  std::optional<ModelFile> file;                // likewise none
};

/// Names behind a series index; append only over the life of the process.
struct SeriesName {
  std::string endpoint, place, model, provider, operation;
  friend bool operator==(const SeriesName&, const SeriesName&) = default;
};

struct Snapshot {
  config::Settings settings;
  facts::Facts facts;
  std::vector<EndpointRuntime> endpoints;
  std::vector<SeriesName> series;  // all series up to now
  const fleet::Fleet& fleet() const { return settings.fleet; }
};

/// Conditions are published far more often than configurations; they belong to the fleet of the same number.
struct PublishedConditions {
  std::uint64_t fleet_number = 0;
  fleet::Conditions conditions;
};

}  // namespace thalweg::gateway
