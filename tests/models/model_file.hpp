#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "models/model_io.hpp"
#include "sim/error.hpp"

namespace foreplan {

/// A file of its own for each test, gone afterwards.
class ModelFile : public ::testing::Test {
 protected:
  ModelFile()
      : path_(std::filesystem::path(::testing::TempDir()) /
              (std::string("foreplan_model_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".json")) {}
  ~ModelFile() override { std::filesystem::remove(path_); }

  OpGraph read(const std::string& text) const {
    std::ofstream(path_, std::ios::binary) << text;
    return read_model(path_);
  }

  /// What is wrong with `text`, behind the name of the file.
  std::string complaint(const std::string& text) const {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      const std::string message = error.what();
      const std::string file = path_.string() + ": ";
      EXPECT_EQ(message.substr(0, file.size()), file);
      EXPECT_EQ(message.find('\n'), std::string::npos);
      return message.substr(file.size());
    }
    return "no complaint";
  }

  std::filesystem::path path_;
};

/// A model of 4 features with these layers.
inline std::string model(const std::string& layers, const std::string& more = "") {
  return R"({"schema": "foreplan.model/1", "name": "m", "input": {"features": 4}, "layers": [)" +
         layers + R"(], "loss": "softmax_cross_entropy")" + more + "}";
}

/// A model of images of 3 x 8 x 6 (channels, height, width) with these layers.
inline std::string image_model(const std::string& layers) {
  return R"({"schema": "foreplan.model/1", "name": "m",
             "input": {"channels": 3, "height": 8, "width": 6}, "layers": [)" +
         layers + R"(], "loss": "softmax_cross_entropy"})";
}

/// A model of token ids with these layers.
inline std::string token_model(const std::string& layers) {
  return R"({"schema": "foreplan.model/1", "name": "m", "input": {"tokens": true}, "layers": [)" +
         layers + R"(], "loss": "softmax_cross_entropy"})";
}

}  // namespace foreplan
