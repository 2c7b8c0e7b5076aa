plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "dev.flagbearer.example"
    compileSdk = 36
    defaultConfig {
        applicationId = "dev.flagbearer.example"
        minSdk = 26
        targetSdk = 36
    }
    buildTypes {
        // The package's rules for R8 come in its jar.
        release { isMinifyEnabled = true }
    }
    // The jar's own native libraries are for desktops.
    packaging { resources.excludes += listOf("linux-*/**", "darwin-*/**", "win32-*/**") }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

kotlin {
    compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_11) }
}

dependencies {
    implementation(project(":native"))
    implementation("dev.flagbearer:flagbearer:0.1.0") { exclude(group = "net.java.dev.jna", module = "jna") }
    implementation("net.java.dev.jna:jna:5.19.1@aar")
    implementation("androidx.activity:activity-ktx:1.11.0")
    implementation("androidx.lifecycle:lifecycle-runtime-ktx:2.9.4")
}
