// Every reader refuses wrong input in one line: its good input, and as many mutations of it as take
// about a second, the same ones on every machine. tools/fuzz does the same at length.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sim/error.hpp"
#include "tests/fuzz/mutation.hpp"
#include "tests/fuzz/targets.hpp"

namespace foreplan::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMutations = 1500;      ///< of a target
constexpr std::size_t kLargestSeed = 16'384;  ///< more takes too long to change that often

std::vector<std::string> seeds(const Target& target) {
  const fs::path root = FOREPLAN_SOURCE_DIR;
  std::vector<fs::path> files;
  for (const fs::path& folder : {root / "tests/fuzz/seeds" / target.name, root / target.seeds}) {
    if (folder == root / "") continue;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> texts;
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return texts;
}

class Readers : public ::testing::TestWithParam<Target> {
 protected:
  MemoryFile file_;
};

TEST_P(Readers, TakeTheirGoodInput) {
  const std::vector<std::string> texts = seeds(GetParam());
  ASSERT_FALSE(texts.empty());
  for (const std::string& text : texts) {
    file_.write(text);
    EXPECT_NO_THROW(GetParam().read(file_.path(), text)) << text.substr(0, 200);
  }
}

class JsonReaders : public Readers {};

TEST_P(JsonReaders, RefuseInputThatWasCutShort) {
  const std::string text = seeds(GetParam()).front();
  for (std::size_t length = 0; length + 2 < text.size(); length += 7) {
    file_.write(text.substr(0, length));
    EXPECT_THROW(GetParam().read(file_.path(), text.substr(0, length)), Error) << length;
  }
}

TEST_P(Readers, RefuseWhatIsWrongInOneLine) {
  std::vector<std::string> texts = seeds(GetParam());
  std::erase_if(texts, [](const std::string& text) { return text.size() > kLargestSeed; });
  std::size_t refused = 0;
  for (std::size_t seed = 0; seed < kMutations; ++seed) {
    const std::string& text = texts[seed % texts.size()];
    const bool structure = GetParam().json && seed % 3 != 0;
    const std::string changed = structure ? mutated_json(text, seed) : mutated_bytes(text, seed);
    const auto found = fault(GetParam(), file_, changed);
    ASSERT_FALSE(found) << *found << "\nseed " << seed << ": " << changed;
    refused += refuses(GetParam(), file_, changed) ? 1 : 0;
  }
  // Most changes make nonsense of a file; if few were refused the mutations would be too tame.
  EXPECT_GT(refused, kMutations / 4);
}

std::vector<Target> json_targets() {
  std::vector<Target> found(targets().begin(), targets().end());
  std::erase_if(found, [](const Target& target) { return !target.json; });
  return found;
}

std::string target_name(const ::testing::TestParamInfo<Target>& target) {
  return std::string(target.param.name);
}

INSTANTIATE_TEST_SUITE_P(Every, Readers, ::testing::ValuesIn(targets().begin(), targets().end()),
                         target_name);
INSTANTIATE_TEST_SUITE_P(Every, JsonReaders, ::testing::ValuesIn(json_targets()), target_name);

TEST(Fault, IsFoundInAMessageOfSeveralLinesAndInAnyOtherException) {
  MemoryFile file;
  const auto found = [&](auto read) {
    return fault(Target{"t", read, ""}, file, "").value_or("nothing");
  };
  EXPECT_EQ(found([](const std::string&, std::string_view) {}), "nothing");
  EXPECT_EQ(found([](const std::string&, std::string_view) { reject("a line"); }), "nothing");
  EXPECT_EQ(found([](const std::string&, std::string_view) { reject("two\nlines"); }),
            "more than a line: two\nlines");
  EXPECT_EQ(found([](const std::string&, std::string_view) { throw std::bad_alloc(); }),
            "not an Error: std::bad_alloc");
  EXPECT_EQ(
      found([](const std::string&, std::string_view) { throw Error(ErrorCode::failed, "x"); }),
      "code: x");
  EXPECT_EQ(found([](const std::string&, std::string_view) {
              reject(std::string(2001, 'a'));
            }).substr(0, 29),
            "message of 2001 characters: a");
}

TEST(TargetNamed, ListsTheTargetsWhereThereIsNone) {
  EXPECT_EQ(target_named("plan").name, "plan");
  EXPECT_THROW(target_named("plans"), Error);
}

TEST(Mutation, IsTheSameForTheSameSeed) {
  const std::string text = R"({"a": [1, 2, {"b": "c"}], "d": 4})";
  EXPECT_EQ(mutated_json(text, 7), mutated_json(text, 7));
  EXPECT_EQ(mutated_bytes(text, 7), mutated_bytes(text, 7));
  std::size_t different = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    different += mutated_json(text, seed) != mutated_json(text, seed + 1) ? 1 : 0;
  }
  EXPECT_GT(different, 90U);
  EXPECT_NO_THROW(mutated_bytes("", 1));
  EXPECT_NO_THROW(mutated_json("{", 1));
}

}  // namespace
}  // namespace foreplan::fuzz
