# Makes a text file a constant of the program: thalweg_embed(TARGET HEADER NAMESPACE CONSTANT FILE) writes the header, which
# TARGET's sources include as "HEADER". A changed file configures anew.
function(thalweg_embed target header namespace constant file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${file})
  file(READ ${PROJECT_SOURCE_DIR}/${file} text)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/embedded/${header} @ONLY CONTENT
"// Made from @file@ by cmake/embed.cmake.
#pragma once

#include <string_view>

namespace @namespace@ {
inline constexpr std::string_view @constant@ = R\"embedded(@text@)embedded\";
}  // namespace @namespace@
")
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/embedded)
endfunction()
