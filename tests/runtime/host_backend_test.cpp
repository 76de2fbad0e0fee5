#include "runtime/host_backend.hpp"

#include <dirent.h>

#include "tests/runtime/backend_contract.hpp"

namespace foreplan {
namespace {

const BackendMaker kHost{.name = "Host", .make = [](int devices) -> std::unique_ptr<Backend> {
                           return std::make_unique<HostBackend>(devices);
                         }};

INSTANTIATE_TEST_SUITE_P(All, BackendContract, testing::Values(kHost), maker_name);

TEST(HostBackend, TakesTurnsAmongStreams) {
  Floats f(kHost, 1);
  const BackendStream a = f.backend->add_stream(DeviceId{0});
  const BackendStream b = f.backend->add_stream(DeviceId{0});
  for (int i = 0; i < 2; ++i) f.copy(a, f.at(0, 0), f.at(0, 1));
  for (int i = 0; i < 2; ++i) f.copy(b, f.at(0, 0), f.at(0, 2));
  const Timeline t = f.run().timeline;  // a0 b0 a1 b1: tasks 0 2 1 3
  EXPECT_LE(t.finish[0], t.start[2]);
  EXPECT_LE(t.finish[2], t.start[1]);
  EXPECT_LE(t.finish[1], t.start[3]);
}

int threads_of_this_process() {
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = readdir(tasks)) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

// oneDNN's OpenMP would start its team at the first large product.
TEST(HostBackend, AProductStartsNoThreads) {
  HostBackend backend(2);
  constexpr std::int64_t kN = 256;
  const Op product{.key = {.op = "matmul", .shape = {kN, kN, kN}}, .flops = {}, .traffic = {}};
  const auto at = [&](std::int64_t i) {
    return backend.address(DeviceId{0}, Bytes{4 * i * kN * kN});
  };
  backend.reserve(DeviceId{0}, Bytes{12 * kN * kN});
  const BackendStream stream = backend.add_stream(DeviceId{0});
  const int before = threads_of_this_process();
  backend.launch(stream, TaskId{0}, product, {at(0), at(1)}, {at(2)});
  backend.run(1, {});
  EXPECT_EQ(threads_of_this_process(), before);
}

}  // namespace
}  // namespace foreplan
