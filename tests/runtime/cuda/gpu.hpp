#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>

namespace foreplan {

/// Why there is no GPU to test on; empty where there is one (real or emulated).
inline std::string no_gpu() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return {};
  static_cast<void>(cudaGetLastError());
  return std::string("no GPU: ") + cudaGetErrorString(status);
}

/// A test that wants a GPU and skips, saying why, where there is none.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = no_gpu(); !why.empty()) GTEST_SKIP() << why;
  }
};

}  // namespace foreplan
