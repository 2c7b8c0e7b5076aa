export default {
  // The package's native part cannot be bundled.
  serverExternalPackages: ['@flagbearer/native'],
  // The same for `next build --webpack`, which looks for it from this folder.
  webpack: (config, { isServer }) => {
    if (isServer) config.externals.push({ '@flagbearer/native': 'commonjs @flagbearer/node/native' })
    return config
  },
  // This folder is the root, whatever lock files lie above it.
  turbopack: { root: import.meta.dirname },
}
