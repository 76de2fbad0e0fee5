#pragma once

#include <vector>

namespace foreplan {

/// The cores that this process may run on, in order.
std::vector<int> available_cores();

/// Binds the calling thread to one core; does nothing where the system refuses.
void pin_this_thread(int core);

/// How often the calling thread has lost its core against its will.
long involuntary_switches();

/// Tells the CPU that the calling thread spins.
void relax_cpu();

/// Keeps OpenMP regions that the calling thread enters to that one thread while it lives.
///
/// oneDNN brings an OpenMP runtime along; a team of threads inside a pinned one would share its
/// core and be many times slower. Without such a runtime this does nothing.
class SingleThreadedOpenMp {
 public:
  SingleThreadedOpenMp();
  ~SingleThreadedOpenMp();
  SingleThreadedOpenMp(const SingleThreadedOpenMp&) = delete;
  SingleThreadedOpenMp& operator=(const SingleThreadedOpenMp&) = delete;

 private:
  int before_ = 0;
};

}  // namespace foreplan
