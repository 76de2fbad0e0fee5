# The CUDA half: libforeplan_cuda.so (runtime/cuda) and libforeplan_cupti.so (profiler/cupti).

# Real code for A100, H100 and H200, B200; PTX of the last for what comes.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100)
endif()

set(FOREPLAN_CUDA_FOUND OFF)
if(FOREPLAN_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    find_package(CUDAToolkit 13)
    if(CUDAToolkit_FOUND AND TARGET CUDA::cublasLt AND TARGET CUDA::cupti)
      set(FOREPLAN_CUDA_FOUND ON)
    endif()
  endif()
  if(NOT FOREPLAN_CUDA_FOUND)
    message(STATUS "CUDA half: not built (no CUDA 13 toolkit with nvcc, cuBLASLt and CUPTI found)")
  endif()
elseif(FOREPLAN_CUDA)
  find_package(CUDAToolkit 13 REQUIRED)
  foreach(library cublasLt cupti cudart_static)
    if(NOT TARGET CUDA::${library})
      message(FATAL_ERROR "FOREPLAN_CUDA=ON: the CUDA toolkit in ${CUDAToolkit_LIBRARY_DIR} has no ${library}")
    endif()
  endforeach()
  set(FOREPLAN_CUDA_FOUND ON)
endif()
if(NOT FOREPLAN_CUDA_FOUND)
  return()
endif()

enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
# CMake 3.25 does not know yet that nvcc 12 and later speak C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_COMPILE_FEATURES cuda_std_20)
list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
# A sixth of the default's size for code of three architectures.
string(APPEND CMAKE_CUDA_FLAGS " --compress-mode=size")

file(GLOB foreplan_cuda_sources CONFIGURE_DEPENDS runtime/cuda/*.cpp runtime/cuda/*.cu)
file(GLOB foreplan_cupti_sources CONFIGURE_DEPENDS profiler/cupti/*.cpp)

# Objects, so that the GPU tests link what the plugins hold.
function(foreplan_cuda_objects name floor)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE FOREPLAN_VERSION="${PROJECT_VERSION}")
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Werror>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
    "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall,-Wextra>")
  target_link_libraries(${name} PUBLIC fmt::fmt nlohmann_json::nlohmann_json Threads::Threads
                        CUDA::cudart_static)
endfunction()

# Where the CUDA libraries may lie, beside what the loader knows: the bundle, the toolkit found here, NVIDIA's
# usual folder. Other places (pip's packages) are tried by the command (tools/cuda_plugins.cpp).
set(foreplan_cuda_runpath "$ORIGIN" "$ORIGIN/../lib" "${CUDAToolkit_LIBRARY_DIR}" /usr/local/cuda/lib64)
list(REMOVE_DUPLICATES foreplan_cuda_runpath)

function(foreplan_plugin name)
  add_library(${name} MODULE)
  target_link_libraries(${name} PRIVATE ${ARGN})
  target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)
  set_target_properties(${name} PROPERTIES BUILD_RPATH "${foreplan_cuda_runpath}"
                        INSTALL_RPATH "${foreplan_cuda_runpath}")
  add_dependencies(foreplan ${name})
endfunction()

foreplan_cuda_objects(foreplan_cuda_objects_runtime runtime ${foreplan_cuda_sources})
foreplan_plugin(foreplan_cuda foreplan_cuda_objects_runtime foreplan_runtime CUDA::cublasLt)
if(foreplan_cupti_sources)
  foreplan_cuda_objects(foreplan_cuda_objects_profiler profiler ${foreplan_cupti_sources})
  target_link_libraries(foreplan_cuda_objects_profiler PUBLIC CUDA::cupti)
  foreplan_plugin(foreplan_cupti foreplan_cuda_objects_profiler foreplan_profiler ${CMAKE_DL_LIBS})
endif()
