// Feeds a fuzz target without libFuzzer: every file of a folder as it is, then mutations of them in a fixed, seeded
// order, so that every build replays the same inputs. `replay FOLDER [MUTATIONS [SEED]]`. On a crash the input lies in
// `replay-crash-<target>` of the working folder.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

constexpr std::size_t kMaxInput = 64 * 1024;

const Bytes* running = nullptr;
std::string crash_file;

// Only calls that are safe in a signal handler: this runs when the target has just crashed.
void keep_input(int signal) {
  const int file = open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0 && running != nullptr && write(file, running->data(), running->size()) >= 0) close(file);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const Bytes& input) {
  running = &input;
  // A copy of exactly this size, so that AddressSanitizer sees a read behind it.
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::size_t below(Random& random, std::size_t bound) {
  return static_cast<std::size_t>(random() % bound);
}

Bytes mutate(const std::vector<Bytes>& corpus, Random& random) {
  Bytes input = corpus[below(random, corpus.size())];
  const std::size_t changes = 1 + below(random, 4);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t at = below(random, input.size() + 1);
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(random, 6)) {
      case 0:
        if (at < input.size()) input[at] ^= static_cast<std::uint8_t>(1U << below(random, 8));
        break;
      case 1:
        input.insert(here, static_cast<std::uint8_t>(random()));
        break;
      case 2: {
        static constexpr std::uint8_t kTelling[] = {0,   '\t', '\n', '\r', ' ', '"', ',',  ':',  ';', '[',
                                                    ']', '{',  '}',  '\\', '0', '9', 0x7F, 0x80, 0xFF};
        input.insert(here, kTelling[below(random, std::size(kTelling))]);
        break;
      }
      case 3:
        input.erase(here, here + static_cast<std::ptrdiff_t>(std::min(input.size() - at, 1 + below(random, 16))));
        break;
      case 4: {
        const Bytes piece(here, here + static_cast<std::ptrdiff_t>(std::min(input.size() - at, 1 + below(random, 64))));
        const std::size_t to = below(random, input.size() + 1);
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(to), piece.begin(), piece.end());
        break;
      }
      case 5: {
        const Bytes& other = corpus[below(random, corpus.size())];
        const std::size_t from = below(random, other.size() + 1);
        input.erase(here, input.end());
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
        break;
      }
      default:
        break;
    }
    if (input.size() > kMaxInput) input.resize(kMaxInput);
  }
  return input;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [MUTATIONS [SEED]]\n", arguments[0]);
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  const std::size_t mutations = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 20000;
  const std::uint64_t seed = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 20260901;
  crash_file = "replay-crash-" + std::filesystem::path(arguments[0]).filename().string();

  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  if (error || files.empty()) {
    std::fprintf(stderr, "%s: no corpus in %s; put at least one input there\n", arguments[0], folder.c_str());
    return 1;
  }
  std::ranges::sort(files);
  std::vector<Bytes> corpus;
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, keep_input);

  run({});
  for (const Bytes& input : corpus) run(input);
  Random random(seed);
  for (std::size_t i = 0; i < mutations; ++i) run(mutate(corpus, random));
  std::printf("%zu files and %zu mutations (seed %llu) replayed\n", corpus.size(), mutations,
              static_cast<unsigned long long>(seed));
  return 0;
}
