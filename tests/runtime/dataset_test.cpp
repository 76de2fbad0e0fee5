#include "runtime/dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sim/error.hpp"
#include "tests/runtime/rejection.hpp"
#include "tests/runtime/temporary_directory.hpp"

namespace foreplan {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text.push_back(static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xffU));
  }
  return text;
}

std::string images(std::uint32_t count, const std::string& pixels) {
  return big_endian(0x803) + big_endian(count) + big_endian(2) + big_endian(3) + pixels;
}

std::string labels(std::uint32_t count, const std::string& values) {
  return big_endian(0x801) + big_endian(count) + values;
}

/// Two training images and one test image of 2 x 3 pixels.
class Mnist : public testing::Test {
 protected:
  void SetUp() override {
    directory_.write(kTrainImages,
                     images(2, std::string("\x00\xff\x01\x02\x03\x04", 6) + "abcdef"));
    directory_.write(kTrainLabels, labels(2, "\x07\x02"));
    directory_.write("t10k-images-idx3-ubyte", images(1, "ABCDEF"));
    directory_.write("t10k-labels-idx1-ubyte", labels(1, "\x09"));
  }
  std::string refusal() const {
    return rejection([this] { read_mnist(directory_.path()); });
  }

  static constexpr const char* kTrainImages = "train-images-idx3-ubyte";
  static constexpr const char* kTrainLabels = "train-labels-idx1-ubyte";
  TemporaryDirectory directory_;
};

// 0 becomes -0.1307 / 0.3081 = -0.42421, 255 becomes (1 - 0.1307) / 0.3081 = 2.82149.
TEST_F(Mnist, ReadsPixelsAndLabels) {
  const DataSplit data = read_mnist(directory_.path());
  EXPECT_EQ(data.train.size(), 2);
  EXPECT_EQ(data.train.features, 6);
  EXPECT_EQ(data.train.classes, 10);
  EXPECT_EQ(data.train.labels, (std::vector<std::int32_t>{7, 2}));
  EXPECT_NEAR(data.train.sample(0)[0], -0.42421, 1e-5);
  EXPECT_NEAR(data.train.sample(0)[1], 2.82149, 1e-5);
  EXPECT_NEAR(data.train.sample(1)[0], ('a' / 255.0 - 0.1307) / 0.3081, 1e-5);
  EXPECT_EQ(data.held_out.size(), 1);
  EXPECT_EQ(data.held_out.labels[0], 9);
}

TEST_F(Mnist, NamesAMissingFile) {
  std::filesystem::remove(directory_.path() / kTrainLabels);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr(kTrainLabels), HasSubstr("expected an IDX file, found none")));
}

TEST_F(Mnist, NamesAMissingDirectory) {
  EXPECT_THAT(rejection([this] { read_mnist(directory_.path() / "none"); }),
              HasSubstr("expected a directory"));
}

TEST_F(Mnist, NamesAFileThatIsCutInHalf) {
  directory_.write(kTrainImages, images(2, "abcdef"));
  EXPECT_THAT(refusal(), AllOf(HasSubstr(kTrainImages),
                               HasSubstr("expected 12 values after the header, found 6")));
  directory_.write(kTrainImages, "\x00");
  EXPECT_THAT(refusal(), HasSubstr("expected a header of 16 bytes, found"));
}

TEST_F(Mnist, NamesAFileThatIsTooLong) {
  directory_.write(kTrainLabels, labels(2, "\x01\x02\x03"));
  EXPECT_THAT(refusal(), HasSubstr("expected 2 values after the header, found 3"));
}

TEST_F(Mnist, NamesAWrongMagicNumber) {
  directory_.write(kTrainImages, labels(2, "0123456789012345"));
  EXPECT_THAT(refusal(), HasSubstr("expected the magic number 0x00000803, found 0x00000801"));
}

// 0xffffffff^3 pixels overflow 64 bits; the sizes are compared all the same.
TEST_F(Mnist, SurvivesAnAbsurdHeader) {
  const std::string huge = big_endian(0xffffffff);
  directory_.write(kTrainImages, big_endian(0x803) + huge + huge + huge + "abc");
  EXPECT_THAT(refusal(), HasSubstr("found 3"));
}

TEST_F(Mnist, NamesLabelsThatDoNotMatchTheImages) {
  directory_.write(kTrainLabels, labels(3, "\x01\x02\x03"));
  EXPECT_THAT(refusal(), HasSubstr("expected 2 labels, one an image, found 3"));
}

TEST_F(Mnist, NamesALabelBeyondTheClasses) {
  directory_.write(kTrainLabels, labels(2, "\x01\x0a"));
  EXPECT_THAT(refusal(), HasSubstr("label 1: expected 0 to 9, found 10"));
}

TEST_F(Mnist, NamesTestImagesOfAnotherSize) {
  directory_.write("t10k-images-idx3-ubyte",
                   big_endian(0x803) + big_endian(1) + big_endian(1) + big_endian(1) + "a");
  EXPECT_THAT(refusal(), HasSubstr("expected test images of 6 pixels as in the training images"));
}

TEST_F(Mnist, NamesAFileWithoutImages) {
  directory_.write(kTrainImages, images(0, ""));
  directory_.write(kTrainLabels, labels(0, ""));
  EXPECT_THAT(refusal(), HasSubstr("expected at least one image"));
}

// Every sample is a function of the seed and its number: what is held out goes on where training
// stops, so a larger training part begins with a smaller one.
TEST(GenerateData, MakesEachSampleByItself) {
  const DataSplit small = generate_data({.features = 5, .classes = 3, .train = 10, .held_out = 4});
  const DataSplit large = generate_data({.features = 5, .classes = 3, .train = 14, .held_out = 1});
  for (std::int64_t i = 0; i < 14; ++i) {
    const Dataset& part = i < 10 ? small.train : small.held_out;
    const std::int64_t row = i < 10 ? i : i - 10;
    EXPECT_EQ(part.labels[static_cast<std::size_t>(row)],
              large.train.labels[static_cast<std::size_t>(i)]);
    EXPECT_TRUE(std::ranges::equal(part.sample(row), large.train.sample(i)));
  }
}

TEST(GenerateData, DependsOnTheSeed) {
  const auto samples = [](std::uint64_t seed) {
    return generate_data({.features = 5, .classes = 3, .train = 4, .held_out = 1, .seed = seed})
        .train.samples;
  };
  EXPECT_EQ(samples(1), samples(1));
  EXPECT_NE(samples(1), samples(2));
}

// 784,000 numbers: mean within 5 deviations of a mean over 10 prototypes' (1 / sqrt(7840) = 0.011),
// variance within 5 %.
TEST(GenerateData, HasMeanZeroAndVarianceOne) {
  const Dataset data = generate_data({.train = 1000, .held_out = 1}).train;
  double total = 0, squares = 0;
  for (const float v : data.samples) {
    total += static_cast<double>(v);
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  const double n = static_cast<double>(data.samples.size());
  EXPECT_NEAR(total / n, 0, 0.06);
  EXPECT_NEAR(squares / n, 1, 0.05);
}

// 1000 draws among 10: each 100, deviation sqrt(1000 0.1 0.9) = 9.5; 5 of them.
TEST(GenerateData, UsesAllClassesEvenly) {
  const Dataset data = generate_data({.features = 1, .train = 1000, .held_out = 1}).train;
  std::vector<int> counts(10);
  for (const std::int32_t label : data.labels) ++counts[static_cast<std::size_t>(label)];
  for (const int count : counts) EXPECT_NEAR(count, 100, 48);
}

TEST(GenerateData, RefusesEmptySets) {
  EXPECT_THAT(rejection([] { generate_data({.features = 0}); }),
              HasSubstr("expected features >= 1, got 0"));
  EXPECT_THAT(rejection([] { generate_data({.classes = -1}); }), HasSubstr("classes"));
  EXPECT_THAT(rejection([] { generate_data({.train = 0}); }), HasSubstr("training samples"));
  EXPECT_THAT(rejection([] { generate_data({.held_out = 0}); }), HasSubstr("held-out samples"));
}

}  // namespace
}  // namespace foreplan
