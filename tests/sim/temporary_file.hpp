#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "sim/error.hpp"

namespace foreplan {

/// A file that lives as long as the test that made it, in a folder of its own.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, std::string_view text) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("foreplan_") + test->test_suite_name() + "_" + test->name() + "_" +
               std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    path_ = folder_ / name;
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove_all(folder_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// What `act` complains about, without the name of the folder; empty if it does not.
  template <typename Act>
  std::string complaint(Act act) const {
    try {
      act();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      std::string message = error.what();
      const std::string prefix = folder_.string() + "/";
      if (message.rfind(prefix, 0) == 0) message.erase(0, prefix.size());
      return message;
    }
    return {};
  }

 private:
  std::filesystem::path folder_;
  std::filesystem::path path_;
};

}  // namespace foreplan
