#include "sim/json_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <random>

#include "sim/error.hpp"

namespace foreplan {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

/// What `act` complains about; empty if it does not.
template <typename Act>
std::string complaint(Act act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return {};
}

std::string parse_complaint(std::string_view text) {
  return complaint([&] { JsonDocument::parse(text, "x.json"); });
}

JsonDocument parsed(std::string_view text) { return JsonDocument::parse(text, "x.json"); }

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("foreplan_json_" + std::string(test->name()) + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path written(const std::string& name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};
using JsonFile = Folder;
using WriteFile = Folder;

TEST(JsonValue, TellsFilePointerExpectationAndValue) {
  const auto document = parsed(R"({"layers": [{}, {"out_features": -4}]})");
  auto layers = document.value().object().required("layers").array();
  ASSERT_THAT(layers, SizeIs(2));
  EXPECT_EQ(complaint([&] { layers[1].object().required("out_features").positive_integer(); }),
            "x.json: /layers/1/out_features: expected a positive integer, got -4");
}

TEST(JsonValue, TakesWholeNumbersOnly) {
  const auto document = parsed("[2.0, 2.5, 9223372036854775807, 9223372036854775808, 1e18, -7]");
  const auto values = document.value().array();
  EXPECT_EQ(values[0].integer(), 2);
  EXPECT_EQ(values[2].integer(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(values[4].integer(), 1'000'000'000'000'000'000);
  EXPECT_EQ(values[5].integer(-7, -7), -7);
  EXPECT_EQ(complaint([&] { values[1].integer(); }), "x.json: /1: expected an integer, got 2.5");
  EXPECT_EQ(complaint([&] { values[3].integer(0); }),
            "x.json: /3: expected an integer >= 0, got 9223372036854775808");
  EXPECT_EQ(complaint([&] { values[0].integer(3, 8); }),
            "x.json: /0: expected an integer from 3 to 8, got 2.0");
}

TEST(JsonValue, TakesNumbersWithinTheirRange) {
  const auto document = parsed(R"([0, 0.5, -1, "1"])");
  const auto values = document.value().array();
  EXPECT_EQ(values[0].number(0), 0);
  EXPECT_EQ(values[1].positive_number(), 0.5);
  EXPECT_EQ(complaint([&] { values[0].positive_number(); }),
            "x.json: /0: expected a positive number, got 0");
  EXPECT_EQ(complaint([&] { values[2].number(0); }), "x.json: /2: expected a number >= 0, got -1");
  EXPECT_EQ(complaint([&] { values[3].number(); }), "x.json: /3: expected a number, got \"1\"");
}

TEST(JsonValue, ShowsWrongValuesOnOneShortLine) {
  const auto document = parsed(R"([[1, 2], {"a": 1}, "a\nb\u001b[31m", null])");
  const auto values = document.value().array();
  EXPECT_EQ(complaint([&] { values[0].text(); }),
            "x.json: /0: expected text, got an array of 2 values");
  EXPECT_EQ(complaint([&] { values[1].array(); }),
            "x.json: /1: expected an array, got an object of 1 key");
  EXPECT_EQ(complaint([&] { values[2].object(); }),
            "x.json: /2: expected an object, got \"a\\nb\\x1b[31m\"");
  EXPECT_EQ(complaint([&] { values[3].boolean(); }),
            "x.json: /3: expected true or false, got null");
}

TEST(JsonObject, RefusesAKeyThatIsMissing) {
  const auto document = parsed(R"({"a": {}})");
  EXPECT_EQ(complaint([&] { document.value().object().required("b"); }),
            "x.json: expected the key \"b\", got none");
  EXPECT_EQ(complaint([&] { document.value().object().required("a").object().required("c"); }),
            "x.json: /a: expected the key \"c\", got none");
}

TEST(JsonObject, RefusesAKeyThatNobodyAskedFor) {
  const auto document = parsed(R"({"a": 1, "c/d": 2})");
  auto object = document.value().object();
  object.required("a");
  EXPECT_FALSE(object.optional("b"));
  EXPECT_EQ(complaint([&] { object.finish(); }),
            "x.json: /c~1d: expected one of a, b, got an unknown key");
  object.entries();
  EXPECT_EQ(complaint([&] { object.finish(); }), "");
}

TEST(JsonDocument, RefusesAnotherSchema) {
  EXPECT_EQ(complaint([] { parsed(R"({"schema": "foreplan.plan/1"})").root("model"); }),
            "x.json: /schema: expected \"foreplan.model/1\", got \"foreplan.plan/1\"");
  EXPECT_EQ(complaint([] { parsed("{}").root("model"); }),
            "x.json: expected the key \"schema\" to be \"foreplan.model/1\", got none");
  EXPECT_EQ(complaint([] { parsed("[]").root("model"); }),
            "x.json: expected an object, got an array of 0 values");
}

TEST(JsonDocument, TellsLineAndColumnOfWhatIsNotJson) {
  // The 'x' is the sixth character of the second line.
  EXPECT_EQ(parse_complaint("{\n \"a\":x}"),
            "x.json: line 2, column 6: expected valid JSON, got ' \"a\":x'");
  EXPECT_EQ(parse_complaint(""),
            "x.json: line 1, column 1: expected valid JSON, got the end of the file");
  EXPECT_EQ(parse_complaint("{\"a\": [1,"),
            "x.json: line 1, column 10: expected valid JSON, got the end of the file");
  EXPECT_EQ(parse_complaint("{} {}"), "x.json: line 1, column 4: expected valid JSON, got '{} {'");
  EXPECT_THAT(parse_complaint("[1e999]"), HasSubstr("expected valid JSON, got '[1e999"));
}

TEST(JsonDocument, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(parse_complaint(R"({"a": [0, {"b": 1, "b": 2}]})"),
            "x.json: /a/1: expected each key once, got \"b\" twice");
  EXPECT_EQ(parse_complaint(R"({"a": 1, "a": 1})"),
            "x.json: expected each key once, got \"a\" twice");
}

TEST(JsonDocument, LimitsNesting) {
  EXPECT_EQ(parse_complaint(std::string(100, '[') + std::string(100, ']')), "");
  EXPECT_EQ(parse_complaint(std::string(101, '[') + std::string(101, ']')),
            "x.json: expected at most 100 levels of nesting, got more");
  EXPECT_EQ(parse_complaint(std::string(10'000'000, '[')),
            "x.json: expected at most 100 levels of nesting, got more");
}

TEST(JsonDocument, LimitsHowManyValuesThereAre) {
  std::string text = "[0";
  for (int i = 1; i < 10'000'000; ++i) text += ",0";
  EXPECT_EQ(complaint([&] { parsed(text + "]"); }),
            "x.json: expected at most 10000000 values, got more");
}

// 20 keys of 60 characters are 1,220 with their '/'; the last 8 of them are 488.
TEST(JsonDocument, TellsTheEndOfALongPlace) {
  const std::string key(60, 'k');
  std::string text = R"({"a": 1, "a": 2})";
  for (int i = 0; i < 20; ++i) text = R"({")" + key + R"(": )" + text + "}";
  std::string place;
  for (int i = 0; i < 8; ++i) place += "/" + key;
  EXPECT_EQ(complaint([&] { parsed(text); }),
            "x.json: ..." + place + ": expected each key once, got \"a\" twice");
}

TEST(JsonDocument, SaysOneShortLineAboutRandomBytes) {
  std::mt19937_64 random(7);
  std::string bytes(10'000'000, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  for (const std::string_view start : {"", "\"", "[\"", "{\"a\": \""}) {
    const std::string message = parse_complaint(std::string(start) + bytes);
    EXPECT_THAT(message, HasSubstr("expected valid JSON, got "));
    EXPECT_LT(message.size(), 300U);
    for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  }
}

TEST_F(JsonFile, TellsWhatIsWrongWithEachFile) {
  const auto missing = folder_ / "missing.json";
  EXPECT_EQ(complaint([&] { JsonDocument::read(missing); }),
            missing.string() + ": expected a file, found none there");
  EXPECT_EQ(complaint([&] { JsonDocument::read(folder_); }),
            folder_.string() + ": expected a file, got a directory");
  const auto empty = written("empty.json", "");
  EXPECT_EQ(complaint([&] { JsonDocument::read(empty); }),
            empty.string() + ": line 1, column 1: expected valid JSON, got the end of the file");
}

TEST_F(JsonFile, IsRefusedHoweverItIsCutInHalf) {
  const std::string whole = R"({"schema": "foreplan.x/1", "list": [1.5, true, {"k": "v"}]})";
  ASSERT_EQ(parse_complaint(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = written("cut.json", whole.substr(0, size));
    EXPECT_THAT(complaint([&] { JsonDocument::read(path); }),
                HasSubstr("cut.json: line 1, column "));
  }
}

TEST_F(WriteFile, ReplacesTheWholeFileAndLeavesNothingElse) {
  const auto path = written("a.json", "something old and longer");
  write_file(path, "new");
  std::ifstream stream(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), "new");
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteFile, FailsWithoutATraceWhereItCannotWrite) {
  const auto inside = folder_ / "sub" / "a.json";
  std::filesystem::create_directories(inside);
  for (const auto& path : {folder_ / "none" / "a.json", inside}) {
    try {
      write_file(path, "text");
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      EXPECT_THAT(error.what(), HasSubstr(path.string() + ": could not write it: "));
    }
  }
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteFile, WritesThroughALinkAndIntoAPipe) {
  const auto path = written("a.json", "old");
  std::filesystem::create_symlink(path, folder_ / "link.json");
  write_file(folder_ / "link.json", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link.json"));
  EXPECT_EQ(std::filesystem::file_size(path), 3U);
  write_file("/dev/null", "text");
  EXPECT_FALSE(std::filesystem::is_regular_file("/dev/null"));
}

}  // namespace
}  // namespace foreplan
