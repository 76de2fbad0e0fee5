#include "runtime/host_thread.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

namespace foreplan {
namespace {

// The runtime comes with oneDNN and is not linked by name: which one it is, is oneDNN's choice.
int most_openmp_threads() {
  using Function = int (*)();
  const auto most = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  return most == nullptr ? 0 : most();
}

void set_openmp_threads(int count) {
  using Function = void (*)(int);
  const auto set = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set != nullptr && count > 0) set(count);
}

}  // namespace

std::vector<int> available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
  }
  if (cores.empty()) cores.push_back(0);
  return cores;
}

void pin_this_thread(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

long involuntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

void relax_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

SingleThreadedOpenMp::SingleThreadedOpenMp() : before_(most_openmp_threads()) {
  set_openmp_threads(1);
}

SingleThreadedOpenMp::~SingleThreadedOpenMp() { set_openmp_threads(before_); }

}  // namespace foreplan
