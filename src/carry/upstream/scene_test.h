// The scene of this room's tests: a small fleet whose endpoints are scripted servers on loopback, permits made the one
// way there is, and a sink that notes what an attempt's answer says. All on one loop, which the test runs.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "carry/net/scripted_server_test.h"
#include "carry/upstream/dispatch.h"
#include "decide/placement/place.h"

namespace thalweg::upstream {

/// Notes everything; `then` may do anything to the attempt after each note.
struct NotingSink final : AttemptSink {
  enum class What : std::uint8_t { kHead, kBody, kBatchEnd, kEnd, kBreak };
  std::vector<What> notes;
  std::uint16_t status = 0;
  std::string body;
  std::optional<Breakage> broken;
  bool ended = false;
  std::function<void(What)> then;

  bool over() const { return ended || broken.has_value(); }
  void on_head(const http::ResponseHead& head) override {
    status = head.status;
    note(What::kHead);
  }
  void on_body(std::string_view bytes) override {
    body += bytes;
    note(What::kBody);
  }
  void on_batch_end() override { note(What::kBatchEnd); }
  void on_end() override {
    ended = true;
    note(What::kEnd);
  }
  void on_break(Breakage breakage) override {
    broken = breakage;
    note(What::kBreak);
  }

 private:
  void note(What what) {
    EXPECT_TRUE(what == What::kEnd || what == What::kBreak || !over()) << "a call came after the last one";
    notes.push_back(what);
    if (then) then(what);
  }
};

/// Endpoint i serves the model "m<i>" and goes to the destination i.
class Scene : public testing::Test {
 protected:
  static constexpr std::size_t kEndpoints = 2;
  static constexpr std::string_view kOk =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
  static constexpr std::string_view kPath = "/chat/completions";

  net::Shard shard{0};
  net::Loop& loop = shard.loop();
  std::array<fleet::SlotCounter, kEndpoints> slots;
  Door door{shard};
  NotingSink sink;

  Scene() {
    fleet_.number = 1;
    fleet_.places.resize(1);
    conditions_.endpoints.resize(kEndpoints);
    for (std::uint16_t i = 0; i < kEndpoints; ++i) {
      const std::string name = "m" + std::to_string(i);
      fleet_.endpoints.push_back(
          {.name = "e" + std::to_string(i),
           .place = PlaceIndex{0},
           .slots = 8,
           .timeouts = {},
           .models = {
               {.name = name, .upstream_name = name, .capabilities = {inference::Capability::kChat}, .asked = {}}}});
      fleet_.models.push_back({.name = name, .targets = {target(i)}});
      conditions_.endpoints[i].models.resize(1);
      slots[i].limit = 8;
    }
    fleet::seal(fleet_);
  }

  static fleet::Target target(std::uint16_t endpoint) { return {EndpointIndex{endpoint}, ModelIndex{0}}; }
  static Destination to(const net::ScriptedServer& server, std::string key = {}) {
    return {.address = server.address(),
            .host_header = "api.example",
            .base_path = "/v1",
            .key = std::move(key),
            .authorities = {}};
  }
  /// The fleet gets the next number, the door these destinations.
  void publish(std::vector<Destination> destinations) {
    destinations.resize(kEndpoints);
    ++fleet_.number;
    const auto published = door.publish(fleet_.number, std::move(destinations));
    ASSERT_TRUE(published) << published.error().message;
  }
  /// asked_at: now, or `ago` before.
  placement::Permit permit(std::uint16_t endpoint = 0, Duration ago = Duration::zero()) {
    const std::string model = "m" + std::to_string(endpoint);
    placement::Question question;
    question.request = ids_.next();
    question.model = model;
    question.needs = {inference::Capability::kChat};
    question.asked_at = question.first_asked_at = MonotonicClock::now() - ago;
    const placement::Decision decision =
        placement::place(question, {&fleet_, &policy_, &facts_, &conditions_}, scratch_);
    EXPECT_EQ(decision.outcome(), placement::Outcome::kRun);
    return placement::grant(decision, {}, fleet::take_slot(slots[endpoint], decision.target().endpoint).value());
  }
  /// A body whose bytes live as long as the scene.
  Body body(std::string text = "{\"a\":1}", std::uint16_t endpoint = 0) {
    texts_.push_back(std::make_unique<std::string>(std::move(text)));
    slices_.push_back(std::make_unique<std::string_view>(*texts_.back()));
    return Body(target(endpoint), {}, kPath, {slices_.back().get(), 1}, texts_.back()->size());
  }
  /// Sent under a fresh permit.
  std::unique_ptr<Attempt> send(AttemptSink& reader, std::uint16_t endpoint = 0) {
    auto attempt = dispatch(permit(endpoint), body("{\"a\":1}", endpoint), door, reader);
    EXPECT_TRUE(attempt);
    return attempt ? std::move(*attempt) : nullptr;
  }
  template <class Done>
  bool until(Done done) {
    return net::run_until(loop, std::move(done));
  }
  /// A whole request has come in at the server's connection `index`, the `count`th one there.
  bool until_asked(net::ScriptedServer& server, std::size_t index = 0, std::size_t count = 1) {
    return until([&] { return server.accepted() > index && requests_at(server, index) >= count; });
  }
  static std::size_t requests_at(net::ScriptedServer& server, std::size_t index) {
    std::size_t found = 0;
    const std::string& text = server.peer(index).received;
    for (std::size_t at = 0; (at = text.find("{\"a\":1}", at)) != std::string::npos; ++at) ++found;
    return found;
  }
  /// One request and its answer over `server`'s connection `index`; the connection rests in the pool afterwards.
  void warm(net::ScriptedServer& server, std::uint16_t endpoint = 0) {
    NotingSink reader;
    const std::size_t connections = server.accepted();
    const auto attempt = send(reader, endpoint);
    ASSERT_TRUE(until_asked(server, connections));
    server.last().send(std::string(kOk));
    ASSERT_TRUE(until([&] { return reader.over(); }));
    ASSERT_TRUE(reader.ended);
  }

  placement::Scratch scratch_;
  fleet::Fleet fleet_;
  fleet::Conditions conditions_;
  policy::Policy policy_;
  facts::Facts facts_;
  RequestIds ids_{1};
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<std::unique_ptr<std::string_view>> slices_;
};

}  // namespace thalweg::upstream
