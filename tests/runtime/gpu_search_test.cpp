#include "runtime/gpu_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foreplan {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(GpuSearch, EitherFindsGpusOrSaysWhyNot) {
  const GpuSearch found = find_gpus();
  EXPECT_EQ(found.gpus.empty(), !found.why_none.empty());
}

TEST(GpuSearch, NamesAPluginThatIsNotThere) {
  const GpuSearch found = find_gpus("/nowhere/libforeplan_cuda.so");
  EXPECT_TRUE(found.gpus.empty());
  EXPECT_THAT(found.why_none, HasSubstr("/nowhere/libforeplan_cuda.so"));
}

// The C library is a library, but it does not export what the plugin exports.
TEST(GpuSearch, RefusesALibraryThatIsNoPlugin) {
  const GpuSearch found = find_gpus("libc.so.6");
  EXPECT_TRUE(found.gpus.empty());
  EXPECT_THAT(found.why_none, HasSubstr("not a CUDA plugin"));
  EXPECT_THAT(found.why_none, Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace foreplan
