#include "carry/engine/sandbox.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "carry/engine/engine.h"

namespace thalweg::engine {
namespace {

namespace fs = std::filesystem;

// Debian 12's headers know Landlock's first three versions. The rest is Documentation/userspace-api/landlock.rst of
// Linux 6.18: truncate since version 3, TCP since 4, ioctl on devices since 5, signals and abstract sockets since 6.
struct RulesetAttributes {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};
constexpr std::uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE;
constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kReadFolder = LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kRefer = LANDLOCK_ACCESS_FS_REFER;  // since 2
constexpr std::uint64_t kTruncate = 1ULL << 14;
constexpr std::uint64_t kDeviceIoctl = 1ULL << 15;
constexpr std::uint64_t kBindTcp = 1ULL << 0;
constexpr std::uint64_t kConnectTcp = 1ULL << 1;
constexpr std::uint64_t kScopeAbstractSockets = 1ULL << 0;
constexpr std::uint64_t kScopeSignals = 1ULL << 1;
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceIoctl;

int landlock_abi() {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

RulesetAttributes handled(int abi) {
  RulesetAttributes attributes;
  attributes.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // all of version 1
  if (abi >= 2) attributes.files |= kRefer;
  if (abi >= 3) attributes.files |= kTruncate;
  if (abi >= 4) attributes.network = kBindTcp | kConnectTcp;
  if (abi >= 5) attributes.files |= kDeviceIoctl;
  if (abi >= 6) attributes.scoped = kScopeAbstractSockets | kScopeSignals;
  return attributes;
}

bool allow(int ruleset, const fs::path& path, std::uint64_t access) {
  const int file = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (file < 0) return false;
  struct stat found{};
  if (fstat(file, &found) == 0 && !S_ISDIR(found.st_mode)) access &= kOfFiles;
  const landlock_path_beneath_attr rule{access, file};
  const bool added = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
  close(file);
  return added;
}

/// The loader that the program names (PT_INTERP), or nothing for a static one.
fs::path loader_of(const fs::path& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr head{};
  if (!file.read(reinterpret_cast<char*>(&head), sizeof head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
      head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr)) {
    return {};
  }
  for (int i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr part{};
    file.seekg(static_cast<std::streamoff>(head.e_phoff + static_cast<std::uint64_t>(i) * sizeof part));
    if (!file.read(reinterpret_cast<char*>(&part), sizeof part)) return {};
    if (part.p_type != PT_INTERP || part.p_filesz < 2 || part.p_filesz > 4096) continue;
    std::string name(part.p_filesz - 1, '\0');
    file.seekg(static_cast<std::streamoff>(part.p_offset));
    return file.read(name.data(), static_cast<std::streamsize>(name.size())) ? fs::path(name) : fs::path();
  }
  return {};
}

/// A large model comes as NAME-00001-of-00003.gguf and so on; the server opens all of them.
std::vector<fs::path> parts_of(const fs::path& model) {
  std::vector<fs::path> parts{model};
  const std::string name = model.filename().string();
  const std::size_t of = name.rfind("-of-");
  if (of == name.npos || of < 6 || name[of - 6] != '-') return parts;
  const std::string_view stem = std::string_view(name).substr(0, of - 5), tail = std::string_view(name).substr(of);
  std::error_code error;
  for (fs::directory_iterator at(model.parent_path(), error), end; !error && at != end; at.increment(error)) {
    const std::string other = at->path().filename().string();
    if (other.size() == name.size() && other.starts_with(stem) && other.ends_with(tail)) parts.push_back(at->path());
  }
  return parts;
}

/// The libraries beside the program; other files there are not its own, and may be keys.
std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> libraries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".so") || name.find(".so.") != name.npos) libraries.push_back(at->path());
  }
  return libraries;
}

std::vector<fs::path> gpu_nodes() {
  std::vector<fs::path> nodes;
  std::error_code error;
  for (fs::directory_iterator at("/dev", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with("nvidia") || name == "dri" || name == "kfd") nodes.push_back(at->path());
  }
  return nodes;
}

Result<int> make_ruleset(const Confinement& confinement) {
  const RulesetAttributes attributes = handled(landlock_abi());
  const int ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  if (ruleset < 0)
    return fail(ErrorCode::kIo, fmt::format("Landlock refused the engine's rules: {}", std::strerror(errno)));

  const std::uint64_t ioctl = attributes.files & kDeviceIoctl;
  std::error_code error;
  const fs::path program = fs::canonical(confinement.program, error);
  const fs::path loader = loader_of(program);
  bool needed = allow(ruleset, program, kExecute | kReadFile);
  if (!loader.empty()) needed = allow(ruleset, loader, kExecute | kReadFile) && needed;
  for (const fs::path& part : parts_of(confinement.model_file)) needed = allow(ruleset, part, kReadFile) && needed;
  needed =
      allow(ruleset, confinement.folder, LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE | kReadFolder) &&
      needed;
  if (!needed) {
    const int reason = errno;
    close(ruleset);
    return fail(ErrorCode::kIo, fmt::format("Landlock can't name the engine's own files: {}", std::strerror(reason)));
  }

  // The rest is there on some systems only. A shared library needs no right to be executed: the loader maps it.
  std::vector<fs::path> readable = {"/lib",
                                    "/lib32",
                                    "/lib64",
                                    "/usr/lib",
                                    "/usr/lib64",
                                    "/usr/local/lib",
                                    "/etc/ld.so.cache",
                                    "/etc/localtime",
                                    "/proc/cpuinfo",
                                    "/proc/meminfo",
                                    "/sys/devices/system",
                                    "/dev/zero",
                                    "/dev/random",
                                    "/dev/urandom"};
  if (const char* const libraries = std::getenv("LD_LIBRARY_PATH"); libraries != nullptr) {
    for (std::string_view rest = libraries; !rest.empty();) {
      const std::string_view folder = rest.substr(0, rest.find(':'));
      rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
      if (folder.starts_with('/')) readable.emplace_back(folder);
    }
  }
  allow(ruleset, program.parent_path(), kReadFolder);
  for (const fs::path& library : libraries_in(program.parent_path())) allow(ruleset, library, kReadFile);
  allow(ruleset, "/dev/null", kReadFile | kWriteFile | (attributes.files & kTruncate));
  const std::vector<fs::path> gpus = gpu_nodes();
  for (const fs::path& node : gpus) allow(ruleset, node, kReadFile | kWriteFile | kReadFolder | ioctl);
  if (!gpus.empty()) {
    for (const char* const path : {"/etc/vulkan", "/etc/OpenCL", "/etc/glvnd", "/usr/share/vulkan", "/usr/share/nvidia",
                                   "/usr/share/glvnd", "/usr/share/libdrm", "/usr/local/cuda", "/usr/local/nvidia",
                                   "/opt/rocm", "/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/proc/sys/vm",
                                   "/sys/devices", "/sys/bus/pci", "/sys/class", "/sys/module"}) {
      readable.emplace_back(path);
    }
  }
  for (const fs::path& path : readable) allow(ruleset, path, kReadFile | kReadFolder);
  return ruleset;
}

/// Lists what is refused: a GPU's driver makes too many different calls for a list of what is allowed. All but the
/// kernel's oldest interfaces for other programs, other machines, tracing, mounting and loading is there.
Result<std::vector<sock_filter>> make_filter() {
  const scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  if (context == nullptr) return fail(ErrorCode::kIo, "libseccomp could not begin a filter");
  // A binary search instead of a walk through all rules on every call.
  int worst = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  const auto refuse = [&](int call, int error, auto... conditions) {
    worst = std::min(worst, seccomp_rule_add(context, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), call,
                                             sizeof...(conditions), conditions...));
  };
  // Sockets: UNIX streams only, and none that calls out. The server binds, listens and accepts.
  refuse(SCMP_SYS(socket), EAFNOSUPPORT, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
  for (const unsigned type : {2U, 3U, 4U, 5U, 6U, 10U}) {  // every SOCK_* but SOCK_STREAM
    refuse(SCMP_SYS(socket), EPROTONOSUPPORT, SCMP_A0(SCMP_CMP_EQ, AF_UNIX), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, type));
  }
  refuse(SCMP_SYS(connect), EPERM);
  // A pair of datagram sockets can send to any path.
  for (const unsigned type : {2U, 3U, 4U, 5U, 6U, 10U}) {
    refuse(SCMP_SYS(socketpair), EPROTONOSUPPORT, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, type));
  }
  // Other processes of this user: their limits, their place on the processors. 0 is the caller itself.
  refuse(SCMP_SYS(prlimit64), EPERM, SCMP_A0(SCMP_CMP_NE, 0));
  refuse(SCMP_SYS(sched_setaffinity), EPERM, SCMP_A0(SCMP_CMP_NE, 0));
  // It ends with this process, whatever happens.
  refuse(SCMP_SYS(prctl), EPERM, SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
  // Shared memory of its own would not count against its limit (RLIMIT_DATA).
  constexpr unsigned kSharedOfItsOwn = MAP_SHARED | MAP_ANONYMOUS;
  refuse(SCMP_SYS(mmap), EPERM, SCMP_A3(SCMP_CMP_MASKED_EQ, kSharedOfItsOwn, kSharedOfItsOwn));
  // Processes: threads only. clone3 keeps its flags in memory, where a filter can't look; without it glibc uses clone.
  refuse(SCMP_SYS(clone), EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  refuse(SCMP_SYS(clone3), ENOSYS);
  for (const char* const name : {
           "fork",
           "vfork",
           "execveat",
           "unshare",
           "setns",
           "ptrace",
           "process_vm_readv",
           "process_vm_writev",
           "process_madvise",
           "pidfd_getfd",
           "pidfd_open",
           "pidfd_send_signal",
           "kill",
           "tkill",
           "rt_sigqueueinfo",
           "rt_tgsigqueueinfo",
           "kcmp",
           "mount",
           "umount",
           "umount2",
           "pivot_root",
           "chroot",
           "move_mount",
           "mount_setattr",
           "fsopen",
           "fsconfig",
           "fsmount",
           "fspick",
           "open_tree",
           "name_to_handle_at",
           "open_by_handle_at",
           "fanotify_init",
           "quotactl",
           "quotactl_fd",
           "swapon",
           "swapoff",
           "acct",
           "mknod",
           "mknodat",
           "chmod",
           "fchmodat",
           "chown",
           "lchown",
           "fchownat",
           "setxattr",
           "lsetxattr",
           "link",
           "linkat",
           "symlink",
           "symlinkat",
           "bpf",
           "perf_event_open",
           "userfaultfd",
           "io_uring_setup",
           "io_uring_enter",
           "io_uring_register",
           "lookup_dcookie",
           "add_key",
           "request_key",
           "keyctl",
           "init_module",
           "finit_module",
           "delete_module",
           "kexec_load",
           "kexec_file_load",
           "reboot",
           "iopl",
           "ioperm",
           "modify_ldt",
           "vhangup",
           "syslog",
           "settimeofday",
           "clock_settime",
           "clock_adjtime",
           "adjtimex",
           "sethostname",
           "setdomainname",
           "setuid",
           "setgid",
           "setreuid",
           "setregid",
           "setresuid",
           "setresgid",
           "setgroups",
           "setfsuid",
           "setfsgid",
           "capset",
           "setpriority",
           "sched_setattr",
           "sched_setparam",
           "sched_setscheduler",
           "migrate_pages",
           "move_pages",
           "ioprio_set",
           "shmget",
           "shmat",
           "msgget",
           "semget",
           "mq_open",
       }) {
    // A name that libseccomp or this processor does not know has no call to refuse.
    if (const int call = seccomp_syscall_resolve_name(name); call != __NR_SCMP_ERROR && call >= 0) refuse(call, EPERM);
  }

  std::vector<sock_filter> filter;
  const int file = memfd_create("thalweg-filter", MFD_CLOEXEC);
  if (worst == 0 && file >= 0 && seccomp_export_bpf(context, file) == 0) {
    const off_t size = lseek(file, 0, SEEK_END);
    filter.resize(static_cast<std::size_t>(std::max<off_t>(0, size)) / sizeof(sock_filter));
    const auto wanted = static_cast<ssize_t>(filter.size() * sizeof(sock_filter));
    if (pread(file, filter.data(), static_cast<std::size_t>(wanted), 0) != wanted) filter.clear();
  }
  if (file >= 0) close(file);
  seccomp_release(context);
  if (filter.empty())
    return fail(ErrorCode::kIo, fmt::format("libseccomp could not build the engine's filter ({})", worst));
  return filter;
}

/// Root needs no user namespace for it, but in one it has no power over the machine any more.
constexpr int kNetworkNamespace = CLONE_NEWUSER | CLONE_NEWNET;

bool network_namespace_works() {
  const pid_t child = fork();
  if (child == 0) _exit(unshare(kNetworkNamespace) == 0 ? 0 : 1);
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool limit(__rlimit_resource resource, std::uint64_t value) {
  rlimit now{};
  if (getrlimit(resource, &now) != 0) return false;
  const rlim_t wanted = std::min<rlim_t>(value, now.rlim_max);
  const rlimit limits{wanted, wanted};
  return setrlimit(resource, &limits) == 0;
}

constexpr std::uint64_t kLargestFile = 1024 * 1024;

}  // namespace

std::string_view name_of(SandboxFailure::Step step) {
  switch (step) {
    case SandboxFailure::Step::kNone:
      return "nothing";
    case SandboxFailure::Step::kLimits:
      return "resource limits";
    case SandboxFailure::Step::kPrivileges:
      return "no new privileges";
    case SandboxFailure::Step::kFiles:
      return "Landlock";
    case SandboxFailure::Step::kCalls:
      return "seccomp";
  }
  return "unknown";
}

SandboxReport probe_sandbox() {
  SandboxReport report;
  report.landlock_abi = landlock_abi();
  report.landlock = report.landlock_abi > 0;
  const std::uint32_t action = SECCOMP_RET_ERRNO;
  report.seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
  report.network_namespace = network_namespace_works();
  if (!report.landlock) {
    report.advice = "Landlock is missing: it needs Linux 5.13 or newer with `landlock` in the kernel's `lsm=` list";
  } else if (!report.seccomp) {
    report.advice = "seccomp filters are missing: the kernel must be built with CONFIG_SECCOMP_FILTER";
  } else if (!report.network_namespace) {
    report.advice =
        "user namespaces are not permitted here: the engine's network is closed by seccomp and Landlock alone";
  } else if (report.landlock_abi < 6) {
    report.advice = fmt::format("Landlock version {} does not stop signals to other programs; Linux 6.12 or newer does",
                                report.landlock_abi);
  }
  return report;
}

Result<Sandbox> Sandbox::prepare(const Confinement& confinement) {
  static const bool network_namespace = network_namespace_works();
  Sandbox sandbox;
  auto filter = make_filter();
  if (!filter) return std::unexpected(filter.error());
  sandbox.filter_ = std::move(*filter);
  auto ruleset = make_ruleset(confinement);
  if (!ruleset) return std::unexpected(ruleset.error());
  sandbox.ruleset_ = *ruleset;
  sandbox.network_namespace_ = network_namespace;
  sandbox.memory_bytes_ = confinement.memory_bytes;
  sandbox.open_files_ = confinement.open_files;
  return sandbox;
}

Sandbox::Sandbox(Sandbox&& other) noexcept
    : ruleset_(std::exchange(other.ruleset_, -1)),
      network_namespace_(other.network_namespace_),
      memory_bytes_(other.memory_bytes_),
      open_files_(other.open_files_),
      filter_(std::move(other.filter_)) {}

Sandbox::~Sandbox() {
  if (ruleset_ >= 0) close(ruleset_);
}

void Sandbox::leave_network() const noexcept {
  // Where it worked for the probe and fails now, the other fences stand.
  if (network_namespace_) (void)unshare(kNetworkNamespace);
}

SandboxFailure Sandbox::enter() const noexcept {
  using Step = SandboxFailure::Step;
  // RLIMIT_DATA counts what the process can write on its own (heap, stacks, private maps), neither the mapped model nor
  // the address space that a GPU's driver sets aside, which RLIMIT_AS would count.
  if ((memory_bytes_ != 0 && !limit(RLIMIT_DATA, memory_bytes_)) || !limit(RLIMIT_NOFILE, open_files_) ||
      !limit(RLIMIT_CORE, 0) || !limit(RLIMIT_FSIZE, kLargestFile)) {
    return {Step::kLimits, errno};
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return {Step::kPrivileges, errno};
  // Its own entry in /proc has another name in each child. Drivers look there for their maps.
  if (const int self = open("/proc/self", O_PATH | O_CLOEXEC); self >= 0) {
    const landlock_path_beneath_attr rule{kReadFile | kReadFolder, self};
    (void)syscall(SYS_landlock_add_rule, ruleset_, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(self);
  }
  if (syscall(SYS_landlock_restrict_self, ruleset_, 0) != 0) return {Step::kFiles, errno};
  const sock_fprog program{static_cast<unsigned short>(filter_.size()), const_cast<sock_filter*>(filter_.data())};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) return {Step::kCalls, errno};
  return {};
}

}  // namespace thalweg::engine
