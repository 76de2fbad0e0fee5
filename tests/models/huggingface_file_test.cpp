#include "models/huggingface_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/model_file.hpp"

namespace foreplan {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr const char* kGpt2 =
    R"({"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "vocab_size": 10, "n_positions": 4)";

std::string config(const std::string& more = "") { return kGpt2 + more + "}"; }

std::string file(const std::string& more) {
  return R"({"schema": "foreplan.model/1", "name": "small", "huggingface": )" + config() + more +
         "}";
}

using HuggingfaceFile = ModelFile;

// Tables 10 * 8 and 4 * 8; a layer 12 * 64 + 13 * 8 = 872; the last norm 16.
constexpr std::int64_t kParameters = 80 + 32 + 2 * 872 + 16;

TEST_F(HuggingfaceFile, IsAConfigAsItIs) {
  const OpGraph graph = read(config());
  EXPECT_EQ(graph.parameter_count(), kParameters);
  EXPECT_EQ(graph.name(), path_.stem());
  EXPECT_EQ(graph.source(), "a Hugging Face config of gpt2");
  EXPECT_EQ(read(config(R"(, "_name_or_path": "me/mine")")).name(), "me/mine");
}

TEST_F(HuggingfaceFile, IsNamedAfterItsFolderWhereItIsCalledConfig) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "foreplan_hf_folder";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config();
  EXPECT_EQ(read_model(folder / "config.json").name(), "foreplan_hf_folder");
  std::filesystem::remove_all(folder);
}

TEST_F(HuggingfaceFile, IsAModelFileWithAConfigInside) {
  const OpGraph graph = read(file(R"(, "source": "made up")"));
  EXPECT_EQ(graph.name(), "small");
  EXPECT_EQ(graph.source(), "made up");
  EXPECT_EQ(graph.parameter_count(), kParameters);
}

TEST_F(HuggingfaceFile, HasTheParametersThatItSays) {
  const auto published = [](const std::string& count, const std::string& more = "") {
    return file(R"(, "published_parameters": {"count": )" + count + more + R"(, "source": "s"})");
  };
  EXPECT_EQ(read(published("1872")).parameter_count(), kParameters);
  EXPECT_THAT(complaint(published("1873")),
              EndsWith("/published_parameters/count: expected 1872, the parameters of this shape, "
                       "got 1873"));
  // Without the head: less its norm.
  EXPECT_EQ(read(published("1856", R"(, "part": "encoder")")).name(), "small");
  EXPECT_THAT(complaint(published("1872", R"(, "part": "half")")),
              HasSubstr("/published_parameters/part: expected \"network\" or \"encoder\""));
}

TEST_F(HuggingfaceFile, IsRefusedWithUnknownKeysOfOursOrWrongOnesOfTheirs) {
  EXPECT_THAT(complaint(file(R"(, "layers": [])")),
              AllOf(HasSubstr("/layers: expected one of"), HasSubstr("got an unknown key")));
  EXPECT_THAT(complaint(R"({"schema": "foreplan.model/1", "name": "m", "huggingface": 3})"),
              EndsWith("/huggingface: expected an object, got 3"));
  EXPECT_THAT(complaint(R"({"schema": "foreplan.model/1", "huggingface": {}})"),
              EndsWith("expected the key \"name\", got none"));
  EXPECT_THAT(complaint(R"({"schema": "foreplan.model/1", "name": "m", "huggingface": {}})"),
              HasSubstr("/huggingface: expected the key \"model_type\""));
  EXPECT_THAT(complaint(R"({"name": "m"})"),
              AllOf(HasSubstr("expected the key \"schema\" to be \"foreplan.model/1\""),
                    HasSubstr("\"model_type\" to be one of bert, "), EndsWith("got neither")));
}

}  // namespace
}  // namespace foreplan
