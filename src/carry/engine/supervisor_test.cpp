#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>

#include "carry/engine/engine.h"
#include "carry/engine/fake_engine_test.h"

namespace thalweg::engine {
namespace {

TEST(Supervisor, SaysWhatIsMissing) {
  const Scratch scratch;
  Options options;
  options.program = "/nowhere/llama-server";
  options.model_file = scratch.write("model.gguf", "");
  auto started = Supervisor::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("/nowhere/llama-server"), std::string::npos);
  options.program = THALWEG_FAKE_ENGINE;
  options.model_file = "/nowhere/model.gguf";
  started = Supervisor::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kIo);
  EXPECT_NE(started.error().message.find("/nowhere/model.gguf"), std::string::npos);
  options.model_file = scratch.path / "model.gguf";
  options.arguments = {"--host", "0.0.0.0"};
  started = Supervisor::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kConfig);
}

class EitherWay : public testing::TestWithParam<Confined> {};
INSTANTIATE_TEST_SUITE_P(Supervisor, EitherWay, testing::Values(Confined::kYes, Confined::kNo),
                         [](const auto& tested) { return tested.param == Confined::kYes ? "Confined" : "Unconfined"; });

TEST_P(EitherWay, IsReadyOnceItsHealthSaysSoAndStopsWithoutATrace) {
  Fake fake(GetParam(), "loading 3");
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.supervisor->state(), State::kReady);
  EXPECT_EQ(fake.told.states(), (std::vector{State::kStarting, State::kReady}));
  const pid_t child = fake.supervisor->child();
  EXPECT_TRUE(is_alive(child));
  const fs::path socket = fake.supervisor->socket_path();
  EXPECT_TRUE(fs::exists(socket));
  EXPECT_EQ(getsid(child), child) << "a session of its own";
  EXPECT_EQ(fake.supervisor->options(), fake.options);
  fake.supervisor.reset();
  EXPECT_FALSE(is_alive(child));
  EXPECT_FALSE(fs::exists(socket.parent_path()));
  EXPECT_EQ(fake.told.states(), (std::vector{State::kStarting, State::kReady, State::kStopped}));
}

TEST_P(EitherWay, StartsAgainWhenTheEngineIsKilled) {
  Fake fake(GetParam());
  fake.start();
  fake.told.wait(State::kReady);
  for (std::size_t i = 1; i <= 3; ++i) {
    const pid_t child = fake.supervisor->child();
    ASSERT_EQ(kill(child, SIGKILL), 0);
    EXPECT_NE(fake.told.wait(State::kDown, i).find("SIGKILL"), std::string::npos);
    fake.told.wait(State::kReady, i + 1);
    EXPECT_NE(fake.supervisor->child(), child);
    EXPECT_EQ(fake.supervisor->restarts(), i);
    EXPECT_EQ(fake.ask("/health"), "");
  }
}

TEST_P(EitherWay, RunsAChildFromLoadToUnload) {
  Fake fake(GetParam(), "loading 3");
  fake.start(Supervisor::Begin::kUnloaded);
  fake.told.wait(State::kUnloaded);
  EXPECT_EQ(fake.supervisor->child(), 0);
  for (std::size_t round = 1; round <= 3; ++round) {
    fake.supervisor->load();
    fake.told.wait(State::kReady, round);
    const pid_t child = fake.supervisor->child();
    EXPECT_TRUE(is_alive(child));
    EXPECT_EQ(fake.ask("/health"), "");
    EXPECT_GT(measured_memory(child), 0U);
    fake.supervisor->load();  // it is
    fake.supervisor->unload();
    fake.told.wait(State::kUnloaded, round + 1);
    EXPECT_FALSE(is_alive(child));
    EXPECT_EQ(fake.supervisor->state(), State::kUnloaded);
  }
  EXPECT_EQ(fake.supervisor->restarts(), 0U) << "it never failed";
  EXPECT_EQ(measured_memory(0), 0U);
  fake.supervisor->load();
  fake.told.wait(State::kReady, 4);
  fake.supervisor.reset();
  EXPECT_EQ(fake.told.states().back(), State::kStopped);
}

TEST_P(EitherWay, GivesUpAFailingOneWhenToldTo) {
  Fake fake(GetParam(), "fail 3");
  fake.start();
  fake.told.wait(State::kDown);
  fake.supervisor->unload();  // while it waits to try again, or in the midst of it
  fake.told.wait(State::kUnloaded);
  EXPECT_EQ(fake.supervisor->child(), 0);
}

TEST_P(EitherWay, TellsTheExitCodeAndTheLastLineOfAFailedStart) {
  Fake fake(GetParam(), "fail 3");
  fake.start();
  const std::string detail = fake.told.wait(State::kDown);
  EXPECT_NE(detail.find("exit code 3"), std::string::npos) << detail;
  EXPECT_NE(detail.find("the model is broken"), std::string::npos) << detail;
  fake.told.wait(State::kDown, 3);  // goes on trying
  EXPECT_GE(fake.supervisor->restarts(), 2U);
}

TEST_P(EitherWay, TellsTheCrashButNoLineThatMayQuoteAPrompt) {
  Fake fake(GetParam());
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.ask("/crash"), "no answer");
  const std::string detail = fake.told.wait(State::kDown);
  EXPECT_NE(detail.find("SIGABRT"), std::string::npos) << detail;
  EXPECT_NE(detail.find("GGML_ASSERT(false) failed"), std::string::npos) << detail;
  EXPECT_EQ(detail.find("prompt"), std::string::npos) << detail;
}

TEST_P(EitherWay, KillsAnEngineThatDoesNotListen) {
  Fake fake(GetParam(), "stubborn");
  fake.start();
  fake.told.wait(State::kReady);
  const pid_t child = fake.supervisor->child();
  fake.supervisor.reset();
  EXPECT_FALSE(is_alive(child));
}

TEST_P(EitherWay, EndsAnEngineThatIsNotReadyInTime) {
  Fake fake(GetParam(), "loading 1000000");
  fake.options.start_timeout = 100ms;
  fake.start();
  const std::string detail = fake.told.wait(State::kDown);
  EXPECT_NE(detail.find("not ready within 100 ms"), std::string::npos) << detail;
  fake.told.wait(State::kDown, 2);  // and starts it again
}

TEST_P(EitherWay, StopsWhileTheEngineStillLoads) {
  Fake fake(GetParam(), "loading 1000000");
  fake.start();
  fake.told.wait(State::kStarting);
  fake.supervisor.reset();
  EXPECT_EQ(fake.told.states(), (std::vector{State::kStarting, State::kStopped}));
}

TEST_P(EitherWay, HandsOnNoOpenFilesAndNoSecrets) {
  const Environment environment({{"OPENAI_API_KEY", "sk-secret"}, {"LLAMA_ARG_HOST", "0.0.0.0"}});
  Fake fake(GetParam());
  const int file = open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a careless library would
  const int high = fcntl(file, F_DUPFD, 200);
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.ask("/try/inherited/" + std::to_string(high)), "refused " + std::to_string(EBADF));
  const std::string variables = fake.ask("/environment");
  EXPECT_EQ(variables.find("OPENAI_API_KEY"), std::string::npos);
  EXPECT_EQ(variables.find("LLAMA_ARG"), std::string::npos);
  EXPECT_NE(variables.find("HOME=" + fake.supervisor->socket_path().parent_path().string()), std::string::npos);
  close(file);
  close(high);
}

TEST(Supervisor, StartsOverALeftoverSocket) {
  Fake fake(Confined::kYes);
  fake.start();
  fake.told.wait(State::kReady);
  // A killed server leaves its socket; the fake one, like the real one, refuses to bind over it.
  ASSERT_EQ(kill(fake.supervisor->child(), SIGKILL), 0);
  EXPECT_NE(fake.told.wait(State::kReady, 2), "never");
  EXPECT_EQ(fake.told.wait(State::kDown).find("bind"), std::string::npos);
}

// This program again, as the gateway that gets killed: it starts an engine, tells its pid, and waits.
TEST(Supervisor, GatewayThatIsKilled) {
  const char* const pipe = std::getenv("THALWEG_TEST_TELL");
  if (pipe == nullptr) GTEST_SKIP() << "runs as a part of TakesTheEngineWithItWhenTheGatewayIsKilled";
  Fake fake(std::getenv("THALWEG_TEST_FREE") != nullptr ? Confined::kNo : Confined::kYes);
  fake.start();
  fake.told.wait(State::kReady);
  const pid_t child = fake.supervisor->child();
  ASSERT_EQ(write(std::atoi(pipe), &child, sizeof child), static_cast<ssize_t>(sizeof child));
  for (;;) pause();
}

TEST_P(EitherWay, TakesTheEngineWithItWhenTheGatewayIsKilled) {
  const Scratch scratch;  // for what the killed one leaves behind
  int tell[2];
  ASSERT_EQ(pipe(tell), 0);
  const std::string variable = "THALWEG_TEST_TELL=" + std::to_string(tell[1]);
  const std::string temporary = "TMPDIR=" + scratch.path.string();
  const std::string runtime = "XDG_RUNTIME_DIR=" + scratch.path.string();
  std::vector<char*> environment = {const_cast<char*>(temporary.c_str()), const_cast<char*>(runtime.c_str())};
  for (char** at = environ; *at != nullptr; ++at) environment.push_back(*at);
  environment.push_back(const_cast<char*>(variable.c_str()));
  if (GetParam() == Confined::kNo) environment.push_back(const_cast<char*>("THALWEG_TEST_FREE=1"));
  environment.push_back(nullptr);
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const char* const arguments[] = {self.c_str(), "--gtest_filter=Supervisor.GatewayThatIsKilled", nullptr};
  const pid_t gateway = fork();
  if (gateway == 0) {
    execve(self.c_str(), const_cast<char**>(arguments), environment.data());
    _exit(127);
  }
  close(tell[1]);
  pid_t engine = 0;
  ASSERT_EQ(read(tell[0], &engine, sizeof engine), static_cast<ssize_t>(sizeof engine));
  close(tell[0]);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, engine, 0));
  ASSERT_GE(pidfd, 0);
  kill(gateway, SIGKILL);
  waitpid(gateway, nullptr, 0);
  pollfd ended{pidfd, POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, static_cast<int>(to_millis(kPatience))), 1) << "the engine lives on";
  close(pidfd);
}

TEST(Supervisor, RunsTheRealEngineInItsSandbox) {
  const fs::path cache = cache_folder();
  const fs::path program = cache / "engine" / "llama-server";
  const fs::path model = cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(program)) GTEST_SKIP() << program << " is not there; `make engine` provides it";
  if (!fs::exists(model)) GTEST_SKIP() << model << " is not there; `make model` provides it";
  if (!probe_sandbox().usable()) GTEST_SKIP() << probe_sandbox().advice;
  Told told;
  Options options;
  options.name = "real";
  options.program = program;
  options.model_file = model;
  options.alias = "smol";
  options.context_tokens = 512;
  options.slots = 2;
  auto started = Supervisor::start(options, told.listener());
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_NE(told.wait(State::kReady), "never") << told.wait(State::kDown);
  const std::string models = ask((*started)->socket_path(), "/v1/models");
  EXPECT_NE(models.find("\"smol\""), std::string::npos) << models;
  // Its CPU back end is a library beside the program, its context what was asked for.
  const std::string slots = ask((*started)->socket_path(), "/props");
  EXPECT_NE(slots.find("\"n_ctx\":512"), std::string::npos) << slots;
}

}  // namespace
}  // namespace thalweg::engine
