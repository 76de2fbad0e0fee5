#include "tools/cuda_plugins.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string reason(const std::string& plugin) {
  try {
    plugin_entry(plugin, kCudaPluginSymbol, {"libnowhere.so.13"});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    return error.what();
  }
  return "opened";
}

TEST(CudaPlugins, NameAPluginThatIsNotThere) {
  EXPECT_THAT(reason("/nowhere/libforeplan_cuda.so"), HasSubstr("/nowhere/libforeplan_cuda.so"));
  EXPECT_THAT(reason("/nowhere/libforeplan_cuda.so"), HasSubstr("FOREPLAN_CUDA_LIBRARIES"));
}

// The C library is a library, but it does not export what a plugin exports.
TEST(CudaPlugins, RefuseALibraryThatIsNoPlugin) {
  EXPECT_THAT(reason("libc.so.6"), HasSubstr("not a plugin of foreplan"));
  EXPECT_THAT(reason("libc.so.6"), Not(HasSubstr("\n")));
}

// The programs of the tests have no plugin beside them unless the CUDA half is built.
TEST(CudaPlugins, OpenOrSayWhyNot) {
  try {
    EXPECT_FALSE(cuda_plugin().find_gpus().empty());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
  }
}

TEST(CudaFolders, BeginWithThoseThatTheVariableNames) {
  setenv(kCudaLibrariesVariable, "/first/lib:/second/lib", 1);
  setenv("CONDA_PREFIX", "/conda", 1);
  const auto folders = cuda_folders();
  unsetenv(kCudaLibrariesVariable);
  unsetenv("CONDA_PREFIX");
  ASSERT_GE(folders.size(), 3U);
  EXPECT_EQ(folders[0], "/first/lib");
  EXPECT_EQ(folders[1], "/second/lib");
  EXPECT_THAT(folders, Contains(std::filesystem::path("/conda/lib")));
}

}  // namespace
}  // namespace foreplan
