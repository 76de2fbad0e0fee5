#include "tools/text_table.hpp"

#include <gtest/gtest.h>

namespace foreplan {
namespace {

// Columns are 6 and 2 wide, two blanks between them; numbers stand at the right, their header too.
TEST(TextTable, AlignsColumns) {
  TextTable table({"name", "n"});
  table.add({"a", "10"});
  table.add({"longer", "5"});
  EXPECT_EQ(table.text(),
            "name     n\n"
            "----------\n"
            "a       10\n"
            "longer   5\n");
}

TEST(TextTable, PrintsMarkdown) {
  TextTable table({"name", "n"});
  table.add({"a", "10"});
  EXPECT_EQ(table.markdown(), "| name | n |\n|---|---|\n| a | 10 |\n");
}

TEST(TextTable, PutsWhatBeginsLikeANumberAtTheRight) {
  for (const char* cell : {"1.25 ms", "-3", "+4.0", ".5"}) {
    TextTable table({"a wide header"});
    table.add({cell});
    EXPECT_TRUE(table.text().ends_with(std::string(" ") + cell + "\n")) << cell;
  }
  TextTable table({"a wide header"});
  table.add({"x1"});
  EXPECT_TRUE(table.text().ends_with("\nx1\n"));
}

// A column is one or the other: one number in it puts all of it at the right.
TEST(TextTable, AlignsAWholeColumnAlike) {
  TextTable table({"value"});
  table.add({"none"});
  table.add({"7"});
  EXPECT_EQ(table.text(),
            "value\n"
            "-----\n"
            " none\n"
            "    7\n");
}

TEST(TextTable, LeavesNoBlanksAtTheEndOfALine) {
  TextTable table({"k", "note"});
  table.add({"a", "a long remark"});
  table.add({"b", ""});
  EXPECT_EQ(table.text(),
            "k  note\n"
            "-------\n"
            "a  a long remark\n"
            "b\n");
}

TEST(TextTable, IsItsHeaderWithoutRows) { EXPECT_EQ(TextTable({"a", "b"}).text(), "a  b\n----\n"); }

}  // namespace
}  // namespace foreplan
