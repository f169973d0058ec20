#include "base/help_format.h"

#include <sstream>

namespace rum {
namespace {

constexpr size_t kColumn = 34;
constexpr size_t kWidth = 100;

}  // namespace

HelpFormat::HelpFormat() {
  column_width(kColumn);
  label("Positionals", "Arguments");
  label("SUBCOMMAND", "COMMAND");
}

std::string HelpFormat::make_description(const CLI::App* app) const {
  return Wrapped(app->get_description(), kWidth) + "\n";
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  const std::string value = option->get_type_name();
  return value.empty() || option->get_positional() ? "" : " " + value;
}

std::string HelpFormat::make_option_desc(const CLI::Option* option) const {
  return Wrapped(option->get_description(), kWidth - kColumn);
}

std::string HelpFormat::make_subcommand(const CLI::App* command) const {
  return Row(command->get_name(), command->get_description());
}

std::string HelpFormat::Row(const std::string& name, const std::string& text) const {
  std::ostringstream out;
  CLI::detail::format_help(out, name, Wrapped(text, kWidth - kColumn), kColumn);
  return out.str();
}

void UseHelpFormat(CLI::App& app, std::shared_ptr<HelpFormat> format) {
  app.formatter(std::move(format));
  app.set_help_flag("-h,--help", "print this help and exit");
}

CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& text) {
  CLI::App* command = app.add_subcommand(name, text);
  command->group("Commands");
  command->footer("");
  return command;
}

std::string FaultOf(const CLI::App& app, const CLI::Error& error) {
  const bool without = app.get_subcommands().empty() && error.get_name() == "RequiredError";
  return without ? "the command is missing" : error.what();
}

std::string Wrapped(std::string_view text, size_t width) {
  std::string out;
  while (text.size() > width) {
    size_t end = text.rfind(' ', width);
    if (end == text.npos) end = text.find(' ');
    if (end == text.npos) break;
    out.append(text.substr(0, end)) += '\n';
    text.remove_prefix(end + 1);
  }
  return out.append(text);
}

}  // namespace rum
