// Built into weir_plugins, beside the generated table that it reads.

#include "core/plugin/plugin.h"

namespace weir::plugin {

const Plugin* FindPlugin(PluginKind kind, std::string_view name) {
  for (const Plugin* plugin : Plugins()) {
    if (plugin->kind == kind && plugin->name == name) {
      return plugin;
    }
  }
  return nullptr;
}

}  // namespace weir::plugin
