// Nothing but Flagbearer's native libraries, one folder for each ABI in src/main/jniLibs: an AAR, which several apps can take.
plugins {
    id("com.android.library")
}

android {
    namespace = "dev.flagbearer.libraries"
    compileSdk = 36
    defaultConfig { minSdk = 26 }
}
