#include "base/help_format.h"

#include <gtest/gtest.h>

namespace rum {
namespace {

TEST(HelpFormat, LinesEndAtBlanks) {
  EXPECT_EQ(Wrapped("", 5), "");
  EXPECT_EQ(Wrapped("12345", 5), "12345");
  EXPECT_EQ(Wrapped("12345 7", 5), "12345\n7");
  EXPECT_EQ(Wrapped("12 45 7 9", 5), "12 45\n7 9");
  EXPECT_EQ(Wrapped("a word-that-is-longer b", 5), "a\nword-that-is-longer\nb");
  EXPECT_EQ(Wrapped("word-that-is-longer", 5), "word-that-is-longer");
}

TEST(HelpFormat, ShowsValuesAndCommandsWithoutWhatOnlyAParserNeeds) {
  CLI::App app("Does it.", "tool");
  UseHelpFormat(app, std::make_shared<HelpFormat>());
  app.footer("The footer.");
  std::string text;
  int number = 0;
  CLI::App* command = AddCommand(app, "make", "make a thing");
  command->add_option("FILE", text, "the file")->required();
  command->add_option("-n,--number", number, std::string(20, 'x') + " " + std::string(60, 'y'))
      ->type_name("N")
      ->required();
  EXPECT_EQ(app.help(),
            "Does it.\n"
            "Usage: tool [OPTIONS] [COMMAND]\n"
            "\n"
            "Options:\n"
            "  -h,--help                       print this help and exit\n"
            "\n"
            "Commands:\n"
            "  make                            make a thing\n"
            "\n"
            "The footer.\n");
  EXPECT_EQ(command->help("tool"),
            "make a thing\n"
            "Usage: tool make [OPTIONS] FILE\n"
            "\n"
            "Arguments:\n"
            "  FILE                            the file\n"
            "\n"
            "Options:\n"
            "  -h,--help                       print this help and exit\n"
            "  -n,--number N                   xxxxxxxxxxxxxxxxxxxx\n"
            "                                  " +
                std::string(60, 'y') +
                "\n"
                "\n");
}

}  // namespace
}  // namespace rum
