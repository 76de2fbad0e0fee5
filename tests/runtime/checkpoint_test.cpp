#include "runtime/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

#include "runtime/initialisation.hpp"
#include "sim/error.hpp"
#include "tests/runtime/hand_lowered.hpp"
#include "tests/runtime/rejection.hpp"
#include "tests/runtime/temporary_directory.hpp"

namespace foreplan {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class Checkpoint : public testing::Test {
 protected:
  Checkpoint() : model_(small_mlp()), path_(directory_.path() / "run.ckpt") {
    state_ = {.step = 42,
              .weights = initial_weights(model_, 1),
              .optimizer_state = {initial_weights(model_, 2), initial_weights(model_, 3)}};
  }
  void save() const { save_checkpoint(path_, model_, Optimizer::adam, state_); }
  TrainingState load() const { return load_checkpoint(path_, model_, Optimizer::adam); }
  std::string refusal() const {
    return rejection([this] { load(); });
  }
  std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  TemporaryDirectory directory_;
  OpGraph model_;
  std::filesystem::path path_;
  TrainingState state_;
};

TEST_F(Checkpoint, GivesBackWhatWasSaved) {
  save();
  const TrainingState loaded = load();
  EXPECT_EQ(loaded.step, 42);
  EXPECT_EQ(loaded.weights, state_.weights);
  EXPECT_EQ(loaded.optimizer_state, state_.optimizer_state);
}

TEST_F(Checkpoint, LeavesNothingElseBehind) {
  save();
  save();  // over the old one
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(Checkpoint, NoticesAnyCut) {
  save();
  const std::string whole = content();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    directory_.write("run.ckpt", whole.substr(0, size));
    EXPECT_THAT(refusal(), StartsWith(path_.string() + ": ")) << size;
  }
  directory_.write("run.ckpt", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refusal(), HasSubstr("is damaged: expected"));
}

TEST_F(Checkpoint, NoticesAnyFlippedByte) {
  save();
  const std::string whole = content();
  for (std::size_t i = 0; i < whole.size(); i += 5) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    directory_.write("run.ckpt", damaged);
    EXPECT_NE(refusal(), "accepted") << i;
  }
}

TEST_F(Checkpoint, SaysThatAForeignFileIsNone) {
  directory_.write("run.ckpt", "{\"schema\": \"foreplan.plan/1\"}");
  EXPECT_EQ(refusal(), path_.string() + ": is no checkpoint");
  directory_.write("run.ckpt", "");
  EXPECT_EQ(refusal(), path_.string() + ": is no checkpoint");
}

TEST_F(Checkpoint, NamesAMissingFile) {
  EXPECT_THAT(refusal(), HasSubstr("run.ckpt: expected a checkpoint, found no file"));
}

TEST_F(Checkpoint, RefusesAnotherModelOrOptimizer) {
  save();
  EXPECT_THAT(rejection([&] { load_checkpoint(path_, every_kind(), Optimizer::adam); }),
              HasSubstr("expected a checkpoint of model \"every-kind\", found \"small-mlp\""));
  EXPECT_THAT(rejection([&] { load_checkpoint(path_, model_, Optimizer::sgd); }),
              HasSubstr("expected a checkpoint of optimizer \"sgd\", found \"adam\""));
}

TEST_F(Checkpoint, RefusesAnotherVersion) {
  save();
  std::string other = content();
  other[8] = 2;  // the version stands behind eight letters of magic
  directory_.write("run.ckpt", other);
  EXPECT_THAT(refusal(), HasSubstr("expected version 1 of checkpoints, found 2"));
}

TEST_F(Checkpoint, RefusesToSaveAnotherShape) {
  state_.weights[1].push_back(0);
  EXPECT_THAT(rejection([this] { save(); }), HasSubstr("the state is not one of small-mlp"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Checkpoint, KeepsTheOldFileWhereItCannotWrite) {
  path_ = directory_.path() / "none" / "run.ckpt";
  EXPECT_THAT(rejection([this] { save(); }), HasSubstr("run.ckpt"));
}

}  // namespace
}  // namespace foreplan
