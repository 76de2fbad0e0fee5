#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <ostream>
#include <random>

#include "tests/tools/command_files.hpp"
#include "tests/tools/run_command.hpp"

namespace foreplan {
namespace {

/// A kind of file and a command that reads it.
struct FileKind {
  const char* name;
  std::string valid;
  /// The command for a file at `path`; may write others beside it.
  std::function<std::vector<std::string>(const CommandFolder&, const std::string& path)> command;
};

/// How the test framework calls it.
void PrintTo(const FileKind& kind, std::ostream* out) { *out << kind.name; }

using Words = std::vector<std::string>;

Words estimate_on(const std::string& option, const std::string& path) {
  return {"estimate", "mnist-mlp", "--global-batch", "64", option, path};
}

std::vector<FileKind> file_kinds() {
  return {{"model", std::string(kModelFile),
           [](const CommandFolder&, const std::string& path) {
             return Words{"show", path};
           }},
          {"cluster", cluster_file("host"),
           [](const CommandFolder&, const std::string& path) {
             return estimate_on("--cluster", path);
           }},
          {"device", std::string(kDeviceFile),
           [](const CommandFolder& folder, const std::string& path) {
             return estimate_on("--cluster", folder.write("around.json", cluster_file(path)));
           }},
          {"profile", std::string(kProfileFile),
           [](const CommandFolder&, const std::string& path) {
             return estimate_on("--profile", path);
           }},
          {"plan", plan_file(R"({"dp": 2})"),
           [](const CommandFolder&, const std::string& path) {
             return Words{"run", path, "--steps", "1"};
           }},
          {"task_graph", std::string(kGraphFile),
           [](const CommandFolder&, const std::string& path) {
             return Words{"simulate", path};
           }},
          {"measurement", std::string(kMeasurementFile),
           [](const CommandFolder&, const std::string& path) {
             return Words{"compare", path, path};
           }}};
}

class WrongFile : public testing::TestWithParam<FileKind> {
 protected:
  /// What the command makes of a file with this content.
  CommandResult with(const std::string& content) {
    return run_command(GetParam().command(folder_, folder_.write("x.json", content)));
  }
  void expect_refused(const std::string& content, const std::string& message) {
    expect_complaint(with(content), 2, {folder_.path("x.json") + ": ", message});
  }

  CommandFolder folder_;
};

// Without this, what follows would show nothing.
TEST_P(WrongFile, IsFineWhereNothingIsWrong) {
  const CommandResult result = with(GetParam().valid);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out, "");
}

TEST_P(WrongFile, IsMissing) {
  expect_complaint(run_command(GetParam().command(folder_, folder_.path("x.json"))), 2,
                   {folder_.path("x.json") + ": expected a file, found none there"});
}

TEST_P(WrongFile, IsADirectory) {
  std::filesystem::create_directory(folder_.path("x.json"));
  expect_complaint(run_command(GetParam().command(folder_, folder_.path("x.json"))), 2,
                   {folder_.path("x.json") + ": expected a file, got a directory"});
}

TEST_P(WrongFile, IsEmpty) {
  expect_refused("", "line 1, column 1: expected valid JSON, got the end of the file");
}

TEST_P(WrongFile, IsCutAnywhere) {
  const std::string& whole = GetParam().valid;
  // The last bytes are "}\n"; without the line break the file is whole.
  for (const std::size_t size : {whole.size() / 4, whole.size() / 2, whole.size() - 2}) {
    expect_refused(whole.substr(0, size), "expected valid JSON");
  }
}

TEST_P(WrongFile, IsOfAnotherKind) {
  const std::string expected = std::string("foreplan.") + GetParam().name + "/1";
  expect_refused(R"({"schema": "foreplan.poem/1"})", expected);
  expect_refused("{}", "schema");
  expect_refused("[]", "expected an object");
}

TEST_P(WrongFile, HasAnUnknownKey) {
  std::string content = GetParam().valid;
  content.insert(1, R"("bogus": 1, )");
  expect_refused(content, "/bogus: expected one of ");
}

TEST_P(WrongFile, HasAKeyTwice) {
  std::string content = GetParam().valid;
  content.insert(1, R"("schema": "foreplan.poem/1", )");
  expect_refused(content, "\"schema\" twice");
}

TEST_P(WrongFile, IsTenMegabytesOfNoise) {
  std::mt19937_64 random(1);
  std::string noise;
  while (noise.size() < 10'000'000) {
    for (std::uint64_t bits = random(), i = 0; i < 8; ++i, bits >>= 8U) {
      noise += static_cast<char>(bits & 0xffU);
    }
  }
  for (const std::string& front : {std::string(), std::string("{\"schema\": \"")}) {
    const CommandResult result = with(front + noise);
    expect_complaint(result, 2, {folder_.path("x.json") + ": ", "expected valid JSON"});
    EXPECT_LT(result.seconds, 2);
  }
}

TEST_P(WrongFile, IsNestedTooDeeply) {
  expect_refused(std::string(10'000'000, '['), "levels of nesting");
}

INSTANTIATE_TEST_SUITE_P(Every, WrongFile, testing::ValuesIn(file_kinds()),
                         [](const auto& kind) { return std::string(kind.param.name); });

/// The valid file with one piece of its text replaced.
std::string replaced(const std::string& text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return std::string(text).replace(at, what.size(), with);
}

/// One piece of a valid file, what takes its place, and what is said of it.
struct WrongValue {
  const char* kind;
  std::string what, with, message;
};

TEST(WrongValue, IsNamedWithItsPlace) {
  const std::vector<WrongValue> values{
      {"model", "\"out_features\": 3", "\"out_features\": -4",
       "/layers/0/out_features: expected an integer from 1 to 10000000, got -4"},
      {"model", "\"features\": 4", "\"features\": 4.5", "/input/features: expected"},
      {"model", "\"linear\"", "\"conv\"", "/layers/0/type: expected linear"},
      {"cluster", "1e9", "-1e9", "/links/0/bandwidth_bytes_per_s: expected a positive number"},
      {"cluster", "1e-3", "-1e-3", "/links/0/latency_s: expected"},
      {"cluster", "\"to\": \"d1\"", "\"to\": \"d7\"", "/links/0/to: "},
      {"device", "1000000000", "-1", "memory_bytes: expected"},
      {"device", "1e9", "0", "peak_flops_per_s/fp32: expected a positive number"},
      {"profile", "\"ops\": []", "\"ops\": {}", "/ops: expected an array"},
      {"profile", "\"per_s\": 1e12", "\"per_s\": -1", "/fits/0/per_s: expected"},
      {"plan", "64", "-64", "/global_batch: expected a positive integer, got -64"},
      {"plan", "1e-3", "-1", "/estimate/step_time_s: expected"},
      {"plan", "\"sgd\"", "\"sdg\"", "/optimizer: expected one of sgd, adam"},
      {"plan", "\"mnist-mlp\"", "\"nope\"", "no model 'nope'"},
      {"task_graph", "0.001", "-1", "/tasks/0/duration_s: expected a number >= 0, got -1"},
      {"measurement", "\"finish_s\": 1e-3", "\"finish_s\": -1", "/tasks/0/finish_s: expected"}};
  const CommandFolder folder;
  for (const WrongValue& value : values) {
    for (const FileKind& kind : file_kinds()) {
      if (std::string(kind.name) != value.kind) continue;
      const std::string path = folder.write("x.json", replaced(kind.valid, value.what, value.with));
      expect_complaint(run_command(kind.command(folder, path)), 2, {path + ": ", value.message});
    }
  }
}

TEST(WrongValue, IsAClusterWithoutDevices) {
  const CommandFolder folder;
  for (const char* body : {R"("vertices": [], "links": [])", R"("nodes": [])",
                           R"("vertices": [{"id": "s", "kind": "switch"}], "links": [])"}) {
    const std::string path = folder.write(
        "x.json", R"({"schema": "foreplan.cluster/1", "name": "none", )" + std::string(body) + "}");
    expect_complaint(run_command(estimate_on("--cluster", path)), 2, {path, "no device"});
  }
}

// A profile that knows neither the ops nor anything like them.
TEST(WrongValue, IsAProfileWithoutFits) {
  const CommandFolder folder;
  std::string text(kProfileFile);
  text = text.substr(0, text.find("\"fits\"")) + "\"fits\": []}";
  expect_complaint(run_command(estimate_on("--profile", folder.write("x.json", text))), 2,
                   {"profile of paper: expected a measurement or a fit of linear.forward"});
}

}  // namespace
}  // namespace foreplan
