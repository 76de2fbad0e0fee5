#include "sim/json_text.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace foreplan {
namespace {

using namespace std::chrono_literals;

TEST(Printable, EscapesAndShortens) {
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("abcd", 3), "abc...");
  const std::string text =
      "gr\xC3\xB6\xC3\x9F"
      "e\xE2\x80\x93";  // o umlaut, sharp s, a dash
  EXPECT_EQ(printable(text, 9), text);
  EXPECT_EQ(printable("\x1b\xFF\xC3\n", 9), "\\x1b\\xff\\xc3\\n");
  // U+202E turns the text that follows around; all three of its bytes are told.
  EXPECT_EQ(printable("\xE2\x80\xAE", 9), "\\xe2\\x80\\xae");
}

TEST(DocumentText, GivesEveryKeyAndEveryRowALine) {
  const nlohmann::ordered_json document = {
      {"name", "x"},
      {"rows", {{{"a", 1}}, {{"a", 2}}}},
      {"list", {1, 2}},
      {"none", nlohmann::ordered_json::array()},
  };
  EXPECT_EQ(document_text(document),
            "{\n"
            "  \"name\": \"x\",\n"
            "  \"rows\": [\n"
            "    {\"a\":1},\n"
            "    {\"a\":2}\n"
            "  ],\n"
            "  \"list\": [1,2],\n"
            "  \"none\": []\n"
            "}\n");
}

TEST(DocumentText, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(document_text({{"a", "\xFF"}}), "{\n  \"a\": \"\xEF\xBF\xBD\"\n}\n");
}

TEST(JsonSeconds, IsTheNearestDoubleToTheDecimal) {
  EXPECT_EQ(json_seconds(1200ns), 1.2e-6);
  EXPECT_EQ(json_seconds(Duration{1}), 1e-12);
  EXPECT_EQ(json_seconds(Duration{123'456'789}), 1.23456789e-4);
}

}  // namespace
}  // namespace foreplan
