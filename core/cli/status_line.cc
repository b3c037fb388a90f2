#include "core/cli/status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "core/base/log.h"

namespace weir::cli {
namespace {

constexpr int64_t kTerminalEveryNs = 1000000000;
constexpr int64_t kLogEveryNs = 60000000000;
constexpr int kRowsMin = 4;

std::string Tenths(double v) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", v);
  return text;
}

std::string Whole(double v) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.0f", v);
  return text;
}

}  // namespace

StatusLine::StatusLine() : terminal_(isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) {}

StatusLine::~StatusLine() {
  if (rows_ > 0) {
    // the whole screen scrolls again; the cursor ends on the cleared last row
    std::fprintf(stderr, "\033[r\033[%d;1H\033[2K", rows_);
    std::fflush(stderr);
  }
}

void StatusLine::Update(const runtime::Figures& figures, int64_t now_ns) {
  const int64_t passed_ns = now_ns - shown_ns_;
  if (shown_ && passed_ns < (terminal_ ? kTerminalEveryNs : kLogEveryNs)) {
    return;
  }
  const double seconds = static_cast<double>(passed_ns) * 1e-9;
  const double rate = shown_ && seconds > 0 ? static_cast<double>(figures.samples - shown_samples_) / seconds : 0;
  if (terminal_) {
    Draw(figures, rate);
  } else if (shown_) {
    LogInfo("status", {{"samples_per_s", Whole(rate)},
                       {"series", std::to_string(figures.series)},
                       {"rules", std::to_string(figures.rules)},
                       {"tick_ms", Tenths(figures.tick_seconds * 1000)},
                       {"pending", std::to_string(figures.pending)},
                       {"firing", std::to_string(figures.firing)}});
  }
  shown_ = true;
  shown_ns_ = now_ns;
  shown_samples_ = figures.samples;
}

void StatusLine::Draw(const runtime::Figures& figures, double samples_per_second) {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < kRowsMin) {
    return;
  }
  if (rows_ != size.ws_row) {
    rows_ = size.ws_row;
    std::fprintf(stderr, "\n\033[1;%dr\033[%d;1H", rows_ - 1, rows_ - 1);
  }
  std::string text = Whole(samples_per_second) + " samples/s   " + std::to_string(figures.series) + " series   " +
                     std::to_string(figures.rules) + " rules   tick " + Tenths(figures.tick_seconds * 1000) + " ms   " +
                     std::to_string(figures.pending) + " pending   " + std::to_string(figures.firing) + " firing";
  if (figures.catching_up) {
    text += "   re-reading the past";
  }
  if (text.size() > size.ws_col) {
    text.resize(size.ws_col);
  }
  std::fprintf(stderr, "\0337\033[%d;1H\033[2K\033[7m%s\033[0m\0338", rows_, text.c_str());
  std::fflush(stderr);
}

}  // namespace weir::cli
