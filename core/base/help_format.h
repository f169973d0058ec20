// The form of --help, the same in all programs.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>

namespace rum {

// Options as "-s,--listen ADDR"; what they are for begins in one column, in lines of at most 100.
class HelpFormat : public CLI::Formatter {
 public:
  HelpFormat();

 protected:
  std::string make_description(const CLI::App* app) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_subcommand(const CLI::App* command) const override;

  // The line of an option or command: its name with its words, and what it is for.
  std::string Row(const std::string& name, const std::string& text) const;
};

// Gives the program this form and -h, for its commands as well; to be called before AddCommand().
void UseHelpFormat(CLI::App& app, std::shared_ptr<HelpFormat> format);

// Adds a command whose help has no footer of the program.
CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& text);

// What is wrong with the arguments of a program with commands, for its message.
std::string FaultOf(const CLI::App& app, const CLI::Error& error);

// The text in lines of at most `width` bytes; longer ones only where a word is longer.
std::string Wrapped(std::string_view text, size_t width);

}  // namespace rum
