#include "tools/published_tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/error.hpp"
#include "tests/tools/command_files.hpp"

namespace foreplan {
namespace {

using ::testing::HasSubstr;

PublishedSource read(const std::string& keys) {
  const CommandFolder folder;
  const std::string file =
      folder.write("sources.json",
                   R"({"schema": "foreplan.published_sources/1", "source": "a test", "models": [],
                          "rows": [{"source": "s", "stack": "t")" +
                       keys + "}]}");
  return read_published_sources(file).rows.front();
}

std::string complaint(const std::string& keys) {
  try {
    read(keys);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no complaint";
}

TEST(PublishedSources, TellWhatRowsDoNot) {
  const PublishedSource source = read(
      R"(, "recompute": "full", "recompute_instead": "selective", "layers_timed_apart": true, "tied": false, "zero": 2,
               "positions": "alibi", "vocabulary_multiple": 64)");
  EXPECT_EQ(source.recompute, Recompute::full);
  EXPECT_EQ(source.recompute_instead, Recompute::selective);
  EXPECT_TRUE(source.layers_timed_apart && source.alibi);
  EXPECT_EQ(source.tied, false);
  EXPECT_EQ(source.zero, 2);
  EXPECT_EQ(source.vocabulary_multiple, 64);
}

TEST(PublishedSources, LeaveRowsAsTheyAre) {
  const PublishedSource source = read("");
  EXPECT_FALSE(source.recompute || source.recompute_instead);
  EXPECT_FALSE(source.tied || source.layers_timed_apart || source.dropout);
}

TEST(PublishedSources, SayWhatIsWrong) {
  EXPECT_THAT(complaint(R"(, "recompute": "most")"),
              HasSubstr("sources.json: /rows/0/recompute: expected none, selective or full"));
  EXPECT_THAT(complaint(R"(, "recompute_instead": 1)"), HasSubstr("recompute_instead: expected"));
  EXPECT_THAT(complaint(R"(, "layers_timed_apart": 1)"), HasSubstr("layers_timed_apart: expected"));
  EXPECT_THAT(complaint(R"(, "positions": "rotary")"), HasSubstr("positions: expected"));
  EXPECT_THAT(complaint(R"(, "reompute": "none")"), HasSubstr("reompute"));
}

}  // namespace
}  // namespace foreplan
