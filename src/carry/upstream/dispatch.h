// The only door to endpoints. A request's bytes leave through `dispatch`, which takes a Permit and a Body built under
// the permit's obligations, and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/dialect/openai.h"
#include "carry/http/message.h"
#include "carry/net/client.h"
#include "carry/net/shard.h"
#include "decide/placement/permit.h"

namespace thalweg::upstream {

class Attempt;
class AttemptSink;
class Body;
class Connection;
class Door;

/// Sends. Refused with kInternal: a permit that expired, is of another fleet than the door's (ask place() again), or a
/// body that was not built for the permit's target under its obligations. Bytes leave on a kept connection or a new
/// one; a kept one that turns out to be closed before any answer is replaced once, if the permit still holds then.
Result<std::unique_ptr<Attempt>> dispatch(placement::Permit&& permit, Body&& body, Door& door, AttemptSink& sink);

inline constexpr std::size_t kReadBuffer = 64 * 1024;
inline constexpr std::size_t kMaxIdlePerEndpoint = 64;
/// Servers close idle connections after 5 s (uvicorn, cpp-httplib) to 75 s (nginx); a pending read sees that. This
/// bounds what is kept where they do not.
inline constexpr Duration kIdleLimit = 50s;

/// How an endpoint wants its key.
enum class Credentials : std::uint8_t {
  kBearer,     // Authorization: Bearer
  kApiKey,     // api-key
  kAnthropic,  // x-api-key, from version 2026-10-21 of that API on as kBearer
};

/// Fields of a caller's head that belong to Anthropic's dialect and go along to endpoints that speak it. Views hold
/// until the attempt ended.
struct AnthropicFields {
  std::string_view version;  // anthropic-version; empty: kAnthropicVersion
  std::string_view betas;    // anthropic-beta; empty: none
};
inline constexpr std::string_view kAnthropicVersion = "2023-06-01";
inline constexpr std::string_view kAnthropicBearerSince = "2026-10-21";

/// How to reach one endpoint, credentials included. Same index as the fleet's endpoints.
struct Destination {
  net::Address address;
  std::string host_header;
  std::string base_path;  // before every path that is not from the root
  std::string key;        // empty: none is sent, or the one of Door::set_key
  Credentials credentials = Credentials::kBearer;
  std::string query;                     // behind every path, with its question mark; mostly empty
  bool deployments = false;              // a model is part of the path, not only of the body: deployment_path()
  std::string authorities;               // PEM; empty: the system's
  net::TlsIdentity identity;             // empty: none is shown
  std::vector<std::string> forwarded;    // names of the caller's fields that go along
  std::vector<std::string> key_command;  // whose key it is, so that another command's is not taken over; mostly none
  Duration idle_limit = kIdleLimit;
  friend bool operator==(const Destination&, const Destination&) = default;
};

/// A request that goes as it is. Views hold until the attempt ended.
struct Passing {
  http::Method method = http::Method::kPost;
  std::string_view query;  // without its question mark; empty: none
  // Of the caller's head; empty: absent.
  std::string_view accept;
  std::string_view content_type;
  std::string_view content_encoding;
  /// Two endpoints may not work on it. It then takes a connection of its own, since one that was kept may turn out to
  /// be closed, and what became of the request on it is not known.
  bool once = false;
};

/// The path of a model that has one of its own.
std::string deployment_path(std::string_view model, std::string_view path);

/// What is sent: built for one target under one set of obligations. Views hold until the attempt ended.
class Body {
 public:
  enum class Root : std::uint8_t { kBasePath, kServer };
  /// A POST of JSON. Only endpoints of Credentials::kAnthropic get the fields of that dialect. Of the caller's fields
  /// those go along that the destination names.
  Body(fleet::Target target, const placement::Obligations& obligations, std::string_view path,
       std::span<const std::string_view> slices, std::size_t size, const AnthropicFields& anthropic = {},
       std::span<const http::Field> callers = {})
      : target_(target),
        obligations_(obligations),
        path_(path),
        slices_(slices),
        size_(size),
        anthropic_(anthropic),
        callers_(callers) {}
  /// A GET without a body, for probes.
  Body(fleet::Target target, std::string_view path, Root root)
      : target_(target), path_(path), root_(root), method_(http::Method::kGet) {}
  /// What goes as it is, under no obligations: nothing in it is known, so that none could be met.
  Body(fleet::Target target, std::string_view path, const Passing& passing, std::span<const std::string_view> slices,
       std::size_t size, const AnthropicFields& anthropic, std::span<const http::Field> callers)
      : target_(target),
        path_(path),
        slices_(slices),
        size_(size),
        method_(passing.method),
        passing_(passing),
        anthropic_(anthropic),
        callers_(callers) {}

 private:
  friend class Connection;
  friend Result<std::unique_ptr<Attempt>> dispatch(placement::Permit&&, Body&&, Door&, AttemptSink&);
  fleet::Target target_;
  placement::Obligations obligations_;
  std::string_view path_;
  std::span<const std::string_view> slices_;
  std::size_t size_ = 0;
  Root root_ = Root::kBasePath;
  http::Method method_ = http::Method::kPost;
  std::optional<Passing> passing_;
  AnthropicFields anthropic_;
  std::span<const http::Field> callers_;
};

/// How an attempt broke off.
enum class Breakage : std::uint8_t {
  kNotConnected,    // nothing was sent
  kNoRoom,          // nothing was sent: this process may open no more files, or the system has no memory
  kConnectTimeout,  // nothing was sent
  kCut,             // closed or reset before the answer's framing ended
  kMalformed,       // not an HTTP answer
};

/// Whoever reads an attempt's answer. Called on the shard's thread, never from inside dispatch(). The attempt may be
/// destroyed (cancelled) inside any of these calls.
class AttemptSink {
 public:
  virtual void on_head(const http::ResponseHead& head) = 0;
  virtual void on_body(std::string_view bytes) = 0;  // http::kPadding readable bytes behind them
  virtual void on_batch_end() = 0;                   // the bytes of one read are handed over
  virtual void on_end() = 0;
  virtual void on_break(Breakage breakage) = 0;

 protected:
  ~AttemptSink() = default;
};

/// A running attempt. Destroying it before its end closes the connection at once: the endpoint sees the cancel.
class Attempt {
 public:
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  /// Stops and goes on reading the answer.
  void pause();
  void resume();
  /// The answer is complete though its framing has not ended (an end mark came first): gives the slot back and lets the
  /// connection read to the end for its next use. To be destroyed next.
  void let_finish();
  const placement::Permit& permit() const { return permit_; }

 private:
  friend class Connection;
  friend class Door;
  friend Result<std::unique_ptr<Attempt>> dispatch(placement::Permit&&, Body&&, Door&, AttemptSink&);
  Attempt(placement::Permit permit, Body body, Door& door, AttemptSink& sink);
  placement::Permit permit_;
  Body body_;
  Door& door_;
  AttemptSink& sink_;
  std::shared_ptr<Connection> connection_;
  bool paused_ = false;
  bool reconnected_ = false;
};

/// One shard's connections to all endpoints.
class Door {
 public:
  explicit Door(net::Shard& shard);
  ~Door();
  /// The destinations of fleet `number`. Idle connections to destinations that did not change are kept. kIo when a CA
  /// file cannot be read; then nothing changed.
  Result<void> publish(std::uint64_t number, std::vector<Destination> destinations);
  /// From now on requests to that endpoint of fleet `number` carry this key; empty: none. Nothing when another fleet is
  /// in force.
  void set_key(std::uint64_t number, EndpointIndex endpoint, std::string key);
  /// Closes idle connections, and each busy one once its attempt has ended.
  void close();

 private:
  friend class Connection;
  friend class Attempt;
  friend Result<std::unique_ptr<Attempt>> dispatch(placement::Permit&&, Body&&, Door&, AttemptSink&);
  struct Pool {
    Destination destination;
    std::string key;  // the destination's, or what set_key gave
    std::unique_ptr<net::TlsContext> tls;
    std::string fixed_fields;  // of every request to it
    std::string key_field;     // likewise, where the API does not say otherwise
    std::vector<std::shared_ptr<Connection>> idle;
    std::vector<std::shared_ptr<Connection>> finishing;  // their attempt is gone, their answer's framing has not ended
    bool retired = false;                                // no longer in force: takes no connection back
  };
  static void retire(Pool& pool);
  static std::string key_field_of(const Pool& pool);
  /// The permit holds now, for the fleet in force.
  bool admits(const placement::Permit& permit) const;
  void launch(Attempt& attempt, bool fresh);

  net::Shard& shard_;
  std::shared_ptr<char[]> buffer_;  // all connections read into it, one after the other: it stays in the cache
  std::uint64_t fleet_number_ = 0;
  std::vector<std::shared_ptr<Pool>> pools_;
};

}  // namespace thalweg::upstream
