// Counts allocations in this test program: a warm reader makes none.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "carry/http/message.h"
#include "carry/http/sse.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// Not inlined: g++ would see a free() of what operator new returned, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace thalweg::http {
namespace {

TEST(Allocations, AWarmRequestReaderMakesNone) {
  std::string fields;
  for (int i = 0; i < 60; ++i) fields += "X-" + std::to_string(i) + ": y\r\n";
  const std::string bytes =
      "POST /v1/x HTTP/1.1\r\nHost: a\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  std::string buffer(bytes.size(), '\0');
  RequestReader reader({});
  const auto round = [&] {
    buffer.replace(0, bytes.size(), bytes);
    EXPECT_TRUE(reader.advance(buffer));
    EXPECT_TRUE(reader.advance(buffer));
    const std::size_t read = reader.head(buffer).fields.size() + reader.body(buffer).size();
    reader.reset();
    return read;
  };
  EXPECT_EQ(round(), 65U);
  const std::size_t before = allocations.load();
  for (int i = 0; i < 10; ++i) (void)round();
  EXPECT_EQ(allocations.load(), before);
}

TEST(Allocations, AWarmResponseReaderMakesNone) {
  struct Nothing final : ResponseReader::Visitor {
    void on_head(const ResponseHead&) override {}
    void on_body(std::string_view) override {}
    void on_end() override {}
  } nothing;
  const std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  ResponseReader reader({});
  const auto round = [&](std::size_t first) {
    EXPECT_TRUE(reader.advance(std::string_view(bytes).substr(0, first), nothing));
    EXPECT_TRUE(reader.advance(std::string_view(bytes).substr(first), nothing));
    EXPECT_TRUE(reader.reusable());
    reader.reset();
  };
  round(40);
  const std::size_t before = allocations.load();
  for (std::size_t first = 1; first < 80; ++first) round(first);
  EXPECT_EQ(allocations.load(), before);
}

TEST(Allocations, AWarmSseReaderMakesNone) {
  std::string bytes = "event: x\ndata: {\"a\":1}\n\ndata: two\ndata: lines\n\n";
  const std::size_t size = bytes.size();
  bytes.append(kPadding, ' ');
  SseReader reader(1024);
  const auto round = [&](std::size_t first) {
    SseFrame frame;
    int frames = 0;
    for (const std::string_view part :
         {std::string_view(bytes).substr(0, first), std::string_view(bytes).substr(first, size - first)}) {
      reader.feed(part);
      while (*reader.next(frame)) ++frames;
    }
    EXPECT_EQ(frames, 2);
    reader.reset();
  };
  for (std::size_t first = 1; first < size; ++first) round(first);
  const std::size_t before = allocations.load();
  for (std::size_t first = 1; first < size; ++first) round(first);
  EXPECT_EQ(allocations.load(), before);
}

}  // namespace
}  // namespace thalweg::http
